"""A family's image, saved to a file, runs without root and without an engine.

By the real Apptainer where there is one; elsewhere by Charliecloud, which stands in for it and
starts the same image as `nobody`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from ingest.images import wheels
from ingest.images.build import BuildOptions, build
from ingest.images.engine import Engine
from ingest.images.files.archive import read_archive, save
from ingest.images.files.program import unavailable
from ingest.images.local_images import find_image
from ingest.images.push_pull import ImageMissing
from ingest.layout import Layout
from ingest.runs.folder import list_runs
from ingest.runtimes import environment
from matterzoo import main
from schemas.store import connect
from tests.ingest.boxed import XYZ
from tests.ingest.runtimes.apptainer.conftest import put_on_path
from zoo.cards.discovery import load_families
from zoo.cards.family import Family

pytestmark = pytest.mark.container
NOWHERE = "unix:///nowhere.sock"  # an engine that does not answer
NOBODY = 65534


@pytest.fixture(params=["apptainer", "charliecloud"])
def program(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """What starts images, with a folder of image files that every user may enter."""
    monkeypatch.setenv("MATTERZOO_IMAGE_FOLDER", str(folder / "images"))
    if request.param == "charliecloud":
        ch_run = shutil.which("ch-run")
        if ch_run is None:
            pytest.skip("needs Charliecloud: apt-get install charliecloud-runtime")
        if os.geteuid():
            pytest.skip("only root can start something as nobody")
        monkeypatch.setenv("MATTERZOO_SANDBOX", "1")
        put_on_path(folder / "bin", monkeypatch, STAND_IN_CH_RUN=ch_run, STAND_IN_REFUSES="--net")
    elif reason := unavailable():
        pytest.skip(f"{reason}; .github/workflows/apptainer.yml runs the real one")
    yield request.param


@pytest.fixture
def molecules(folder: Path) -> str:
    file = folder / "molecules.extxyz"
    file.write_text("".join(XYZ.format(number=i, length=0.7 + i / 10_000) for i in range(40)))
    return str(file)


@pytest.fixture
def controls(client: docker.DockerClient, base: str) -> Family:
    """The smallest family of the zoo, with its image built."""
    if Engine.ask(client).name == "Podman":
        pytest.skip("the zoo's own images are built with Docker only, one engine is enough")
    family = load_families()["controls"]
    if not environment.ready(family):
        pytest.skip("needs the local environment to compare with: make env FAMILY=controls")
    offline = wheels.family_wheels(family).is_dir() and wheels.shared_wheels(family).is_dir()
    build(client, family, BuildOptions(base=base, offline=offline), print)
    return family


def vectors(store: Path) -> list[tuple[object, ...]]:
    with connect(store, read_only=True) as connection:
        query = "SELECT model_id, system_id, vector FROM embeddings ORDER BY ALL"
        return connection.execute(query).fetchall()


def test_it_gives_the_bits_of_docker_and_of_the_local_environment(
    program: str, controls: Family, client: docker.DockerClient, folder: Path, molecules: str,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    archive = save(client, controls, print)
    assert save(client, controls, print) == archive
    assert f"{archive} is here" in capfd.readouterr().out
    stores = {}
    for runtime in ("docker", "venv", "apptainer"):
        if runtime != "docker":
            monkeypatch.setenv("DOCKER_HOST", NOWHERE)
        stores[runtime] = folder / f"{runtime}.duckdb"
        options = ["--runtime", runtime, "--store", str(stores[runtime])]
        assert main(["ingest", "reference,random", molecules, *options]) == 0
    found = {runtime: vectors(store) for runtime, store in stores.items()}
    assert len(found["apptainer"]) == 80
    assert found["apptainer"] == found["venv"] == found["docker"]
    with connect(stores["apptainer"], read_only=True) as connection:
        query = "SELECT DISTINCT runtime, image FROM runs"
        assert connection.execute(query).fetchall() == [
            ("apptainer", read_archive(archive).image_id)
        ]


def test_a_worker_sees_and_writes_what_it_does_with_docker(
    program: str, boxed: Family, client: docker.DockerClient, folder: Path, molecules: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    save(client, boxed, print)
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv("HF_TOKEN", "secret")
    store = folder / "matter.duckdb"
    line = ["ingest", "boxed-probe", molecules, "--runtime", "apptainer", "--store", str(store)]
    assert main(line) == 0
    (run,) = list_runs(Layout.find(str(store)))
    said = next(line for line in run.log.read_text().splitlines() if line.startswith("{"))
    found = json.loads(said)
    assert int(found["capabilities"], 16) == 0
    assert found["no_new_privileges"] == "1"
    assert "Read-only file system" in found["root"]
    assert found["scratch"] == "1"
    assert not {name for name in found["environment"] if "TOKEN" in name or "DOCKER" in name}
    assert {"OPENBLAS_NUM_THREADS", "HF_HUB_OFFLINE"} <= set(found["environment"])
    if program == "charliecloud":  # it knows neither mounts to read nor networks
        assert found["uid"] == NOBODY
        assert "Permission denied" in found["job"]
    else:
        assert found["uid"] == os.getuid()
        assert "Read-only file system" in found["job"]
        assert found["interfaces"] == ["lo"]


def test_what_is_not_here_is_not_saved(
    client: docker.DockerClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_IMAGE_FOLDER", str(folder / "images"))
    family = next(f for f in load_families().values() if find_image(client, f) is None)
    with pytest.raises(ImageMissing, match=f"no image of {family.name} as it is now is here"):
        save(client, family, print)
    assert not (folder / "images").exists()
