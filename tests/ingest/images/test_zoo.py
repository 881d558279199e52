"""The images of all families: built, pushed, removed, pulled by digest, and run.

What they compute without a network is compared with what local environments compute.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import duckdb
import numpy as np
import pytest

from ingest.images import wheels
from ingest.images.build import BuildOptions, build
from ingest.images.digests import Published, record
from ingest.images.local_images import find_built, find_image
from ingest.images.push_pull import pull, push
from ingest.runtimes import environment, load_runtimes
from ingest.runtimes.check_image import check_image
from matterzoo import main
from tests.ingest.images.registry import serving
from tests.test_readme import IN_CONTAINERS
from zoo.cards.discovery import find_model, load_families
from zoo.cards.family import Family
from zoo.places import ROOT

pytestmark = pytest.mark.container
SYSTEMS = 40
FAMILIES = load_families().values()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Family:
    monkeypatch.setenv("MATTERZOO_IMAGES", str(tmp_path / "images.lock"))
    family: Family = request.param
    if not (wheels.family_wheels(family).is_dir() and wheels.shared_wheels(family).is_dir()):
        pytest.skip(f"needs what its image is built from: make wheels FAMILY={family.name}")
    if not environment.ready(family):
        pytest.skip(f"needs the local environment to compare with: make env FAMILY={family.name}")
    return family


@pytest.fixture(scope="module")
def publish(client: docker.DockerClient, base: str, registry: str) -> Callable[[Family], Published]:
    """Publish the image of a family, which then is in the registry only.

    It is built and pushed once.
    """
    done: dict[str, Published] = {}

    def act(family: Family) -> Published:
        if family.name in done:
            record(family, done[family.name])
        else:
            build(client, family, BuildOptions(base=base, offline=True), print)
            done[family.name] = push(client, family, registry, print, uncommitted=True)
        while (image := find_built(client, family)) is not None:
            client.api.remove_image(image.id, force=True)
        assert find_image(client, family) is None
        return done[family.name]

    return act


def test_a_published_image_gives_what_the_local_environment_gives(
    family: Family, publish: Callable[[Family], Published], client: docker.DockerClient,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    entry = publish(family)
    assert pull(client, family, print) == entry.reference

    monkeypatch.chdir(tmp_path)
    model = family.models[0].id
    for runtime in ("docker", "venv"):
        options = [
            "--runtime",
            runtime,
            "--limit",
            str(SYSTEMS),
            "--store",
            str(tmp_path / f"{runtime}.duckdb"),
        ]
        assert main(["ingest", model, "aflow", *options]) == 0
    inside, outside = (vectors(tmp_path / f"{runtime}.duckdb") for runtime in ("docker", "venv"))
    assert inside.keys() == outside.keys() and len(inside) >= SYSTEMS // 2
    for system_id, vector in outside.items():
        assert np.linalg.norm(inside[system_id] - vector) <= 1e-6 * np.linalg.norm(vector), (
            system_id
        )
    assert check_image(load_runtimes()["docker"], family, print) == []


@pytest.mark.parametrize(
    "family", [find_model(IN_CONTAINERS[1].rpartition("=")[2]).family], indirect=True
)
def test_the_readmes_block(
    family: Family, publish: Callable[[Family], Published], tmp_path: Path
) -> None:
    entry = publish(family)
    for command in IN_CONTAINERS:
        command += f" STORE={tmp_path / 'matter.duckdb'}"
        done = subprocess.run(
            command,
            shell=True,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(tmp_path / "matter.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT runtime, image FROM runs").fetchall() == [
            ("docker", entry.reference)
        ]


def vectors(store: Path) -> dict[str, np.ndarray]:
    with duckdb.connect(str(store), read_only=True) as connection:
        rows = connection.execute("SELECT system_id, vector FROM embeddings").fetchall()
    return {system_id: np.array(vector, dtype=np.float64) for system_id, vector in rows}
