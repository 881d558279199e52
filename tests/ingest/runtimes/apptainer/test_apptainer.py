"""RUNTIME=apptainer: how a worker is started, and what its images are made of.

Apptainer cannot be had where these tests are written. Its command line is compared with a recorded
one, and the workers that come of it are started by a stand-in.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.executors.shared.claims import Claims
from ingest.executors.shared.staging import Staging
from ingest.failures import Killed, NoRuntime, RunError
from ingest.images.digests import Published, record
from ingest.images.files.archive import read_archive
from ingest.images.files.program import Program, find_program
from ingest.images.files.sif import find_sif, make_sif
from ingest.images.recipe import recipe
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.maintenance.doctor import check_apptainer
from ingest.runs.plan import Plan
from ingest.runs.request import Request
from ingest.runtimes import choose_runtime
from ingest.runtimes.apptainer import RUNTIME, ContainedProcess
from ingest.runtimes.apptainer_options import WORKER, exec_command, mount, starter_variables
from ingest.runtimes.container_options import MountedPlaces
from ingest.runtimes.worker import JobPlaces
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect
from tests.ingest.runtimes.apptainer.conftest import labels_of, write_archive
from zoo.cards.discovery import find_model
from zoo.cards.family import Family
from zoo.places import ROOT, image_files

Calls = Callable[[str], list[list[str]]]
PROGRAM = Program("/opt/apptainer/bin/apptainer", "apptainer", "1.4.5")
RECORDED = """
/opt/apptainer/bin/apptainer exec --containall --cleanenv --no-home --no-privs
--net --network none --nv --workdir /scratch/x --pwd /tmp
--mount type=bind,source={job},destination=/job/0,ro
--mount type=bind,source={out},destination=/out/0
/images/toy-0123456789abcdef/image.sif env HOME=/tmp
/env/bin/python -P -m zoo.worker --family /matterzoo/family
"""


# --- the command line
@pytest.fixture
def places(
    dataset: Callable[..., MaterializedDataset], planned: Callable[..., Plan]
) -> Callable[[str], JobPlaces]:
    """Return a function that makes a job for a device."""

    def make(device: str) -> JobPlaces:
        run = planned(dataset(5), device=device).run
        return JobPlaces(run.job, run.out)

    return make


def test_the_command_is_the_recorded_one(
    places: Callable[[str], JobPlaces], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setenv("APPTAINER_BIND", "/home")
    monkeypatch.setenv("APPTAINER_TMPDIR", "/scratch")
    monkeypatch.setenv("HF_TOKEN", "secret")
    job = places("cuda")
    root = Path("/images/toy-0123456789abcdef/image.sif")
    parts = PROGRAM, root, MountedPlaces.of([job]), Path("/scratch/x"), job.job
    command = exec_command(*parts, network=False)
    assert command == RECORDED.format(job=job.job, out=job.out).split()
    without = [word for word in command if word not in ("--net", "--network", "none")]
    assert exec_command(*parts, network=True) == without
    found = starter_variables(PROGRAM, job.job, Limits(threads=3))
    assert found["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "2,3"
    assert found["APPTAINERENV_OMP_NUM_THREADS"] == "3"
    assert found["APPTAINERENV_OPENBLAS_NUM_THREADS"] == "1"
    assert found["APPTAINERENV_HF_HUB_OFFLINE"] == "1"
    assert found["APPTAINER_TMPDIR"] == "/scratch"
    assert not {"APPTAINER_BIND", "HF_TOKEN", "APPTAINERENV_HF_TOKEN"} & found.keys()
    singularity = Program("/usr/bin/singularity", "singularity-ce", "4.1.2")
    assert "SINGULARITYENV_LANG" in starter_variables(singularity, job.job, Limits())


def test_a_gpu_that_is_named_is_the_only_one_inside(places: Callable[[str], JobPlaces]) -> None:
    job = places("cuda:GPU-8a0f")
    command = exec_command(
        PROGRAM, Path("/x.sif"), MountedPlaces.of([job]), Path("/s"), job.job, network=False
    )
    assert "--nv" in command and command[-2:] == ["--device", "cuda:0"]
    found = starter_variables(PROGRAM, job.job, Limits())
    assert found["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "GPU-8a0f"


def test_names_of_folders_are_quoted() -> None:
    (fields,) = csv.reader([mount(Path('/a,b/"c" d:e'), Path("/job/0"), read_only=True)])
    assert fields == ["type=bind", 'source=/a,b/"c" d:e', "destination=/job/0", "ro"]


def test_the_worker_is_started_as_the_image_says() -> None:
    found = re.search(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None and tuple(json.loads(found[1])) == WORKER


# --- a whole ingest, by the stand-in
def vectors(store: Path) -> list[tuple[object, ...]]:
    with connect(store, read_only=True) as connection:
        query = "SELECT model_id, system_id, vector FROM embeddings ORDER BY ALL"
        return connection.execute(query).fetchall()


def test_gives_what_the_local_environment_gives_from_an_image_made_once(
    archive: Path, calls: Calls, layout: Layout, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_REFUSES", "--net")
    file = layout.store.with_name("molecules.xyz")
    file.write_text("".join(f"1\nname=m{i}\nH 0 {i} 0\n" for i in range(20)))
    command = ["ingest", "toy,toy-potential", str(file)]
    assert main([*command, "--runtime", "apptainer"]) == 0
    said = capfd.readouterr().out
    assert said.startswith("runtime apptainer: asked for")
    assert said.count("making ") == 1 and f"from docker-archive:{archive}, once" in said
    assert "since this site allows no other: FATAL:   this site does not allow that" in said
    local = layout.store.with_name("local.duckdb")
    assert main([*command, "--runtime", "venv", "--store", str(local)]) == 0
    assert len(vectors(layout.store)) == 40 and vectors(layout.store) == vectors(local)
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT DISTINCT runtime, image FROM runs"
        ((runtime, image),) = connection.execute(query).fetchall()
    assert (runtime, image) == ("apptainer", read_archive(archive).image_id)


def test_an_image_is_unpacked_once_where_files_cannot_be_mounted(
    archive: Path, calls: Calls, toy: Family, places: Callable[[str], JobPlaces],
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    RUNTIME.ensure(toy, print)
    (sif,) = image_files().glob("toy-*/image.sif")
    archive.unlink()
    monkeypatch.setenv("MATTERZOO_SANDBOX", "1")
    monkeypatch.setenv("APPTAINER_BIND", "/nowhere")  # as a site has it; no worker gets it
    job = places("cpu")
    for _ in range(2):
        with RUNTIME.start(toy, [job], Limits(), print) as worker:
            assert worker.waits
    RUNTIME.ensure(toy, print)
    root = str(sif.parent / "sandbox" / "root")
    built = calls("build")
    assert [words[1] for words in built] == ["--disable-cache", "--sandbox"]
    assert built[1][3] == str(sif)
    started = [words for words in calls("exec") if words[-1] != "true"]
    assert len(started) == 2
    assert all(root in words and str(sif) not in words and "--net" in words for words in started)
    assert "once, since MATTERZOO_SANDBOX is set" in capfd.readouterr().out


# --- images
def test_nothing_is_submitted_without_an_image(
    toy: Family, calls: Calls, layout: Layout, dataset: Callable[..., MaterializedDataset],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = dataset(5)
    assert main(["plan", "toy", "g2", "--on", "slurm", "--runtime", "apptainer"]) == 0
    assert "which cannot be had for 1: no image of toy has been" in capfd.readouterr().out
    staging = Staging(layout, RUNTIME)
    missing = r"no image of toy has been published .*`matterzoo save toy` on a machine with Docker"
    with pytest.raises(RunError, match=missing):
        staging.stage(Request(find_model("toy"), made, ("nodes",)), Claims())
    with pytest.raises(RunError, match="the image of toy could not be made ready, see above"):
        staging.stage(Request(find_model("toy-picky"), made, ("nodes",)), Claims())
    assert str(image_files()) in (RUNTIME.lacking(toy) or "")
    write_archive(image_files() / "toy-2.tar", labels_of(toy))
    assert RUNTIME.lacking(toy) is None and not RUNTIME.ready(toy)
    (run,) = Staging(layout, RUNTIME).stage(
        Request(find_model("toy"), made, ("nodes",)), Claims()
    ).runs  # fmt: skip
    said = run.read("runtime.json")
    assert said["runtime"] == "apptainer" and said["image"].startswith("sha256:")
    assert RUNTIME.ready(toy)


def test_the_registry_is_asked_for_a_digest_and_what_it_gives_is_looked_at(
    toy: Family, calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Published("ghcr.io/owner/matterzoo-toy", f"sha256:{'a1' * 32}", recipe(toy), None)
    record(toy, entry)
    program = find_program()
    with pytest.raises(RunError, match=r"making an image of toy .*\n  FATAL: .*no such host"):
        make_sif(program, toy, print)
    other = write_archive(tmp_path / "other.tar", labels_of(toy) | {"org.matterzoo.recipe": "b"})
    monkeypatch.setenv("STAND_IN_REGISTRY", str(other))
    with pytest.raises(RunError, match="which are not those of toy with recipe"):
        make_sif(program, toy, print)
    assert find_sif(toy) is None and list(image_files().glob("toy*")) == []
    right = write_archive(tmp_path / "toy.tar", labels_of(toy))
    monkeypatch.setenv("STAND_IN_REGISTRY", str(right))
    made = make_sif(program, toy, print)
    assert (made.image, made.folder.name) == (entry.reference, "toy-" + "a1" * 8)
    assert calls("build")[-1][-1] == f"docker://{entry.reference}"
    assert find_sif(toy) == made


def test_two_that_need_an_image_at_once_make_it_once(
    archive: Path, calls: Calls, toy: Family, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_BUILDS_FOR", "0.5")
    said: list[str] = []
    program = find_program()
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: make_sif(program, toy, said.append), range(2)))
    assert made[0] == made[1] == find_sif(toy)
    assert len(calls("build")) == 1 and len(said) == 2
    # the one that waits may say so before the one that has the lock says what it makes
    assert any("waiting for another process that makes this image" in line for line in said)
    assert main(["du"]) == 0
    printed = capfd.readouterr().out
    assert re.search(rf"^image .* {archive.name}$", printed, re.MULTILINE)
    assert re.search(rf"^image .* {made[0].folder.name}$", printed, re.MULTILINE)


def test_archives_are_read_in_both_forms_and_refused_if_they_are_none(
    toy: Family, calls: Calls
) -> None:
    folder = image_files()
    docker, oci = (
        read_archive(write_archive(folder / f"{oci}.tar", labels_of(toy), oci=oci))
        for oci in (False, True)
    )
    assert (docker.form, oci.form) == ("docker-archive", "oci-archive")
    assert docker.image_id == oci.image_id and docker.labels == oci.labels == labels_of(toy)
    stale = write_archive(folder / "toy-old.tar", labels_of(toy) | {"org.matterzoo.recipe": "b"})
    write_archive(folder / "toy-else.tar", labels_of(toy) | {"org.matterzoo.family": "toy-else"})
    with pytest.raises(RunError, match=f"{stale} was made from the family as it once was"):
        make_sif(find_program(), toy, print)
    (folder / "toy-torn.tar").write_bytes(b"half")
    with pytest.raises(RunError, match="toy-torn.tar is not an archive of one image"):
        make_sif(find_program(), toy, print)
    assert "toy-torn.tar is not an archive" in (RUNTIME.lacking(toy) or "")
    (folder / "toy-folder.tar").mkdir()
    assert "toy-folder.tar is not an archive" in (RUNTIME.lacking(toy) or "")


# --- the program
def test_a_machine_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "singularity").write_text("#!/bin/sh\necho Endgame: Singularity 1.00\n")
    (tmp_path / "singularity").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    missing = "runtime apptainer cannot be used here: neither apptainer nor singularity is on the"
    with pytest.raises(NoRuntime, match=missing):
        choose_runtime("apptainer", ())
    older = tmp_path / "older"
    older.mkdir()
    (older / "singularity").write_text("#!/bin/sh\necho singularity version 3.8.7-1.el8\n")
    (older / "singularity").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{older}:/usr/bin:/bin")
        with pytest.raises(
            RunError, match=r"singularity 3\.8\.7-1\.el8; expected .* 3\.9 or newer"
        ):
            find_program()
    found = check_apptainer()
    assert (found.level, "--runtime apptainer" in found.what) == ("ok", True)


def test_doctor_says_the_version_and_that_nobody_has_tried(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "apptainer 0.0.0-stand-in is at" in check_apptainer().what
    assert "starts images as files; no one has run matterzoo with a real" in check_apptainer().what
    monkeypatch.setenv("MATTERZOO_SANDBOX", "1")
    assert "unpacked, since MATTERZOO_SANDBOX is set" in check_apptainer().what


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo lost /job/0/x >&2; exit 137", Killed, "killed by SIGKILL from outside"),
        ("echo lost /job/0/x >&2; exit 255", RunError, "exit code 255"),
    ],
)
def test_a_worker_that_ends_early_says_why_with_names_of_this_machine(
    script: str, kind: type[RunError], said: str, tmp_path: Path
) -> None:
    places = JobPlaces(tmp_path / "job", tmp_path / "out")
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(["sh", "-c", script], start_new_session=True, **pipes) as process:
        worker = ContainedProcess(process, Limits(grace=1), MountedPlaces.of([places]))
        assert str(worker.assign(places).out) == "/out/0"
        with pytest.raises(kind, match=said) as caught:
            worker.run(places, lambda event: None)
        worker.kill()
    assert type(caught.value) is kind and f"lost {tmp_path}/job/x" in str(caught.value)
