"""A family made up for the tests, with an image of its own on a real engine."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from ingest.images import wheels
from ingest.images.build import BuildOptions, build
from ingest.images.containers import list_containers
from ingest.images.engine import EngineError, address, connected
from ingest.images.recipe import default_base
from ingest.images.removal import clean
from ingest.layout import Layout
from ingest.runs.folder import Run, list_runs
from matterzoo import main
from tests.ingest.relay import Relay
from zoo.cards.discovery import find_family, load_families
from zoo.cards.family import Family
from zoo.places import ROOT

FAMILY = """
name = "boxed"
title = "A family of the tests, in a container"
homepage = "https://example.org/boxed"
requires_python = ">=3.11"
installed_mb = 250
license_code = { name = "MIT", no_url_because = "made up", commercial = true }
"""
MODEL = """
[[model]]
id = "boxed-%s"
title = "Boxed"
input = "structure"
default_representation = "nodes"
weights = { source = "none" }
license_weights = { name = "none", no_url_because = "there are no weights", commercial = true }
compute = { parameters = 0, scales_with = "systems", batch = 16 }
provenance = { architecture = "sums", training_sets = [], citation = "none" }
tolerance = { batch = 1e-6 }
options = { %s }
[[model.representation]]
name = "nodes"
layer = "one row per atom"
level = "node"
pooling = "mean"
channels = "all"
dimension = 3
"""
MODELS = {
    "plain": "",
    "slow": "sleep = 0.4",  # s per batch
    # after: the number of systems before any trouble begins, here those of the first shard
    "late": "after = 1024, sleep = 2.0",
    "stuck": "after = 1024, sleep = 3600.0",
    "crashing": "after = 1024, exit = 3",
    "filling": "after = 1024, leave = 4096",  # bytes of the disk that stay free
    "hungry": "megabytes = 40",  # per system of a batch
    "starving": "megabytes = 400",
    "probe": "probe = true",
}
WEIGHED = (MODEL % ("weighed", "weighed = true")).replace(
    'weights = { source = "none" }',
    'weights = { source = "hub", repo = "owner/scale", format = "safetensors", '
    'files = [{ path = "deep/scale.txt" }] }',
)
XYZ = '2\nname="m{number:04}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 {length}\n'
ENCODER = '''
"""Sums, and on request the troubles a real model may have."""
import json
import os
import socket
import time
from pathlib import Path

import numpy as np

from zoo.encoder import Encoder


def attempt(act):
    try:
        return str(act())
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def fill(folder, leave):
    free = os.statvfs(folder)
    Path(folder, "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - leave))


class FamilyEncoder(Encoder):
    seen = 0

    def __init__(self, model, **rest):
        super().__init__(model, **rest)
        if model["options"].get("probe"):
            lines = Path("/proc/self/status").read_text().splitlines()
            status = dict(line.split(":\\t", 1) for line in lines)
            print(json.dumps({
                "uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid(),
                "capabilities": status["CapEff"], "bounding": status["CapBnd"],
                "no_new_privileges": status["NoNewPrivs"],
                "interfaces": sorted(name for _, name in socket.if_nameindex()),
                "root": attempt(lambda: Path("/matterzoo/here").write_text("x")),
                "job": attempt(lambda: Path("/job/0/here").write_text("x")),
                "scratch": attempt(lambda: Path("/tmp/here").write_text("x")),
                "environment": sorted(os.environ),
            }), flush=True)
        self.scale = 1.0
        if model["options"].get("weighed"):
            self.scale = float((self.weights / "deep" / "scale.txt").read_text())
            print(attempt(lambda: (self.weights / "deep" / "here").write_text("x")), flush=True)

    def prepare(self, system):
        return np.column_stack([system.numbers, system.positions[:, :2]]).astype(float)

    def encode(self, items, representations):
        self.seen += len(items)
        options = self.model["options"]
        trouble = options if self.seen > options.get("after", 0) else {}
        time.sleep(trouble.get("sleep", 0.0))
        if "exit" in trouble:
            os._exit(trouble["exit"])
        if "leave" in trouble:
            fill("/out/0", trouble["leave"])
        eaten = np.ones(len(items) * trouble.get("megabytes", 0) * 2**17)
        return {"nodes": [self.scale * item + 0.0 * eaten[:1].sum() for item in items]}
'''


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine that DOCKER_HOST names, or this machine's own."""
    try:
        with connected(timeout=600) as client:
            yield client
    except EngineError as error:
        pytest.skip(f"{error}; with an engine: make test-containers")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name that every user may enter: a socket's path holds 107 letters."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def relay(
    client: docker.DockerClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Relay]:
    """The same engine, which DOCKER_HOST names now, until the test cuts the line."""
    with Relay(folder / "relay.sock", address().removeprefix("unix://")) as relay:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{relay.path}")
        yield relay
    gc.collect()  # the SDK leaves its socket open where an engine refuses it


@pytest.fixture(scope="session")
def base(client: docker.DockerClient) -> str:
    """The base image, which is here or can be pulled."""
    name = os.environ.get("MATTERZOO_BASE") or default_base()
    try:
        client.images.get(name)
    except DockerException:
        try:
            client.images.pull(name)
        except DockerException as error:
            pytest.skip(f"no base image {name} ({error}); MATTERZOO_BASE names one that is here")
    return name


@pytest.fixture(scope="session")
def boxed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family that needs numpy and pyarrow only, with the wheels of a similar one if fetched."""
    root = tmp_path_factory.mktemp("boxed")
    folder = root / "zoo" / "boxed"
    folder.mkdir(parents=True)
    (folder / "family.toml").write_text(FAMILY)
    (folder / "models.toml").write_text("".join(MODEL % item for item in MODELS.items()) + WEIGHED)
    (folder / "encoder.py").write_text(ENCODER)
    (folder / "requirements.in").write_text("numpy\npyarrow\n")
    smallest = load_families()["controls"]  # whose wheels .ci/containers downloads for this
    (folder / "requirements.lock").write_bytes(smallest.lock.read_bytes())
    (root / "wheels").mkdir()
    for source, name in (
        (wheels.family_wheels(smallest), "boxed"),
        (wheels.shared_wheels(smallest), wheels.shared_wheels(smallest).name),
    ):
        if source.is_dir():
            (root / "wheels" / name).symlink_to(source)
    return root


@pytest.fixture(scope="session")
def places(boxed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that name the family's folders, and a list of published images of its own."""
    return {
        "MATTERZOO_FAMILIES": str(boxed_folder / "zoo"),
        "MATTERZOO_ENVS": str(boxed_folder / "envs"),
        "MATTERZOO_WHEELS": str(boxed_folder / "wheels"),
        "MATTERZOO_IMAGES": str(tmp_path_factory.mktemp("published") / "images.lock"),
    }


@pytest.fixture(autouse=True)
def zoo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set those variables for the tests that have to do with the family."""
    if "places" in request.fixturenames:
        for name, value in request.getfixturevalue("places").items():
            monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def build_options(boxed_folder: Path, base: str) -> BuildOptions:
    """How images are built: from wheels if there are any, else from the package index."""
    return BuildOptions(base=base, offline=(boxed_folder / "wheels" / "boxed").is_dir())


@pytest.fixture(scope="session")
def boxed(
    places: dict[str, str], client: docker.DockerClient, build_options: BuildOptions
) -> Iterator[Family]:
    """The family, with its image built."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        family = find_family("boxed")
        build(client, family, build_options, print)
    yield family
    assert list_containers(client) == []
    list(clean(client, family.name))


@pytest.fixture
def layout(boxed: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """An empty place for a store, and processes that can import the program."""
    monkeypatch.setenv("MATTERZOO_STORE", str(tmp_path / "matter.duckdb"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return Layout.find()


@pytest.fixture
def ingest(
    layout: Layout, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run an ingest of `boxed-MODEL`: its exit code, and what it printed on the two outputs."""

    def run(
        model: str,
        *options: str,
        dataset: str = "elements",
        runtime: str = "docker",
        limit: int = 40,
    ) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(
            [
                "ingest",
                f"boxed-{model}",
                dataset,
                "--limit",
                str(limit),
                "--runtime",
                runtime,
                *options,
            ]
        )
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def only_run(layout: Layout) -> Callable[[], Run]:
    """The one run that there is."""

    def find() -> Run:
        (run,) = list_runs(layout)
        return run

    return find


@pytest.fixture
def molecules(layout: Layout) -> str:
    """A file of 1100 small molecules: those of one shard, and some more."""
    file = layout.store.with_name("molecules.extxyz")
    file.write_text("".join(XYZ.format(number=i, length=0.7 + i / 10_000) for i in range(1100)))
    return str(file)


@pytest.fixture
def meanwhile(layout: Layout) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Do something during a run, as soon as it has written its first shard."""
    threads = []

    def wait_and_do(act: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not any(run.shards for run in list_runs(layout)):
            assert time.monotonic() < end, "no shard in 60 s"
            time.sleep(0.02)
        act()

    def start(act: Callable[[], object]) -> None:
        threads.append(threading.Thread(target=wait_and_do, args=(act,)))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()
