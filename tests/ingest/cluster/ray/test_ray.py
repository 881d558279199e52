"""What Ray computes comes into the store, once, with the same bits, whatever is lost meanwhile."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.executors.shared.submission import list_submissions
from ingest.images.files.archive import read_archive
from ingest.users import user_name
from matterzoo import main
from schemas.store import connect
from tests.ingest.cluster.conftest import statuses, vectors, wait_for
from tests.ingest.cluster.ray.conftest import Cluster, end_programs, ray, run_programs
from tests.ingest.cluster.test_images import have_images
from tests.ingest.runtimes.apptainer.conftest import labels_of, write_archive
from zoo.cards.discovery import find_family
from zoo.places import image_files

pytestmark = pytest.mark.cluster
Molecules = Callable[[int], str]
LocalVectors = Callable[..., list[tuple[object, ...]]]
Said = pytest.CaptureFixture[str]
MODELS = "toy,toy-picky,toy-potential"
ONE_BY_ONE = ("--batch", "1", "--per-task", "1")


def test_two_commands_at_once_compute_once_what_one_process_computes(
    cluster: Cluster, molecules: Molecules, local_vectors: LocalVectors, pids: Path, capfd: Said
) -> None:
    file = molecules(40)
    line = ["ingest", MODELS, file, "--per-task", "1", "--on", "ray"]
    both = [cluster.start(*line) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("nothing to compute" in text for text in said) == 1
    assert sum("waiting for another command that has Ray compute" in text for text in said) <= 1
    (first,) = (text for text in said if "2 nodes, 2 CPUs, 2 GPUs" in text)
    assert "3 of 3 chunks are in the store" in first
    assert {"n1", "n2"} == {cluster.log(task).split(", on ")[1][:2] for task in range(3)}
    assert len(pids.read_text().split()) == 3
    found = vectors(cluster.layout.store)
    assert len(found) == 3 * 40
    assert found == local_vectors(MODELS, file)
    capfd.readouterr()
    assert main(["status"]) == 0
    text = capfd.readouterr().out
    assert "3 tasks of Ray" in text and "3 chunks: 3 loaded" in text
    assert "Slurm" not in text
    assert cluster.submission.user == user_name()


def test_a_gpu_is_a_resource_of_a_task(cluster: Cluster) -> None:
    show = ["sh", "-c", "echo $(hostname) $CUDA_VISIBLE_DEVICES; sleep 3"]
    found = run_programs(cluster, {"num_cpus": 0, "num_gpus": 1}, [show, show])
    assert sorted(found) == ["n1 0\n", "n2 0\n"]


def test_a_program_that_is_killed_is_a_fault(cluster: Cluster) -> None:
    ((_, fault, _),) = end_programs(cluster, {"num_cpus": 1}, [["sh", "-c", "kill -9 $$"]])
    assert fault == "its program was killed by SIGKILL, as where memory is short"


def test_a_task_that_no_node_is_large_enough_for_is_explained(
    cluster: Cluster, molecules: Molecules
) -> None:
    process = cluster.start("ingest", "toy", molecules(3), "--on", "ray", "--cpus", "64")
    assert process.stdout is not None
    said = ""
    while "no node has room" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=200)
    assert process.returncode == 130
    # A node that is slow to report is not among them yet.
    told = re.search(r"a task, which takes 64 CPUs: (.*)\. Tasks wait", said)
    assert told is not None, said
    assert set(told[1].split("; ")) <= {"n1 has 1 CPU", "n2 has 1 CPU"}, said


def test_a_chunk_on_a_node_that_is_lost_is_computed_on_another(
    cluster: Cluster,
    molecules: Molecules,
    local_vectors: LocalVectors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "0.5")
    file, models = molecules(16), "toy,toy-picky"
    process = cluster.start("ingest", models, file, *ONE_BY_ONE, "--on", "ray")
    wait_for(lambda: list(list_submissions(cluster.layout)))
    wait_for(lambda: cluster.task_on("n2") is not None)
    task = cluster.task_on("n2")
    assert task is not None
    ray("node-kill", str(cluster.folder), "n2")
    try:
        said = process.communicate(timeout=300)[0]
    finally:
        ray("node-start", str(cluster.folder), "n2")
    assert process.returncode == 0, said
    assert f"task {task} is started again" in said
    assert [word[:2] for word in cluster.log(task).split(", on ")[1:]] == ["n2", "n1"]
    assert vectors(cluster.layout.store) == local_vectors(models, file)


def test_a_poisoned_chunk_fails_after_three_starts_and_the_rest_is_loaded(
    cluster: Cluster, molecules: Molecules, pids: Path
) -> None:
    said = cluster.ingest("toy-broken,toy", molecules(5), "--per-task", "2", code=1)
    assert cluster.log(0).count("task 0 of ") == 3
    assert "without a new shard: toy-broken could not be loaded" in said
    assert "1 of 2 models failed: toy-broken" in said
    assert statuses(cluster.layout.store) == [("toy", "ok", 5), ("toy-broken", "failed", 0)]


def test_after_ctrl_c_the_same_command_computes_only_what_is_missing(
    cluster: Cluster,
    molecules: Molecules,
    local_vectors: LocalVectors,
    monkeypatch: pytest.MonkeyPatch,
    pids: Path,
) -> None:
    """Vectors of nodes, too."""
    file = molecules(12)
    line = ["toy-picky,toy", file, *ONE_BY_ONE, "--at-once", "1", "--nodes"]
    monkeypatch.setenv("TOY_SLEEP", "1.0")
    process = cluster.start("ingest", *line, "--on", "ray")
    wait_for(lambda: list(list_submissions(cluster.layout)))
    wait_for(
        lambda: cluster.run_of(0).finished and (cluster.run_of(1).out / "current.json").exists()
    )
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=200)[0]
    assert process.returncode == 130, said
    assert "ending: tasks write what they have" in said
    assert "ended by SIGTERM: what is computed is kept" in cluster.log(1)
    left = [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()]
    assert not any("zoo.worker" in Path(f"/proc/{pid}/cmdline").read_text() for pid in left)
    monkeypatch.setenv("TOY_SLEEP", "0")
    cluster.ingest(*line)
    assert "1 shard from earlier starts" in cluster.log(0)
    assert len(pids.read_text().split()) == 3
    found = vectors(cluster.layout.store)
    assert found == local_vectors("toy-picky,toy", file, "--nodes") and len(found) == 2 * 12 * 3


def test_a_head_that_is_lost_is_a_loud_error_and_another_ray_goes_on(
    cluster: Cluster, molecules: Molecules, monkeypatch: pytest.MonkeyPatch, pids: Path
) -> None:
    line = ["toy-picky,toy", molecules(12), *ONE_BY_ONE]
    monkeypatch.setenv("TOY_SLEEP", "0.5")
    process = cluster.start("ingest", *line, "--at-once", "1", "--on", "ray")
    wait_for(lambda: list(list_submissions(cluster.layout)))
    wait_for(lambda: (cluster.run_of(1).out / "current.json").exists())
    ray("stop", str(cluster.folder))
    said = process.communicate(timeout=200)[0]
    assert process.returncode == 1, said
    assert "error: Ray at " in said and "is lost, or was not reached" in said
    assert "1 of 2 chunks are in the store; `matterzoo ingest toy-picky,toy " in said
    assert len(vectors(cluster.layout.store)) == 12
    monkeypatch.setenv("TOY_SLEEP", "0")
    said = cluster.ingest(*line, "--address", "local")
    assert "Ray on this machine: 1 node" in said
    assert "12 systems already stored" in said
    assert len(vectors(cluster.layout.store)) == 2 * 12


def test_a_task_starts_an_image(
    cluster: Cluster,
    molecules: Molecules,
    local_vectors: LocalVectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = have_images(tmp_path, monkeypatch)
    toy = find_family("toy")
    archive = read_archive(write_archive(image_files() / "toy-1.tar", labels_of(toy)))
    line = ["toy", molecules(5)]
    cluster.ingest(*line, "--address", "local", "--runtime", "apptainer")
    assert "runtime apptainer" in cluster.log(0)
    assert log.read_text().count('["exec", ') >= 1
    with connect(cluster.layout.store, read_only=True) as connection:
        query = "SELECT DISTINCT runtime, image FROM runs"
        assert connection.execute(query).fetchall() == [("apptainer", archive.image_id)]
    assert vectors(cluster.layout.store) == local_vectors(*line, "--runtime", "venv")
