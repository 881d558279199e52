"""A family made up for the tests, with a real environment, and runs that no worker made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.runs.plan import Plan, plan
from ingest.runs.request import Request
from ingest.runs.vectors.conversion import convert
from ingest.runtimes import environment
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Label, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.store import connect
from tests.hub import Hub, serving
from tests.ingest.stores import IDS
from zoo.cards.discovery import find_family, find_model, load_families
from zoo.places import ROOT

FAMILY = """
name = "toy"
title = "A family of the tests"
homepage = "https://example.org/toy"
requires_python = ">=3.11"
installed_mb = 100
license_code = { name = "MIT", no_url_because = "made up", commercial = true }
"""
MODEL = """
[[model]]
id = "%s"
title = "Toy"
input = "structure"
default_representation = "nodes"
weights = { source = "none" }
license_weights = { name = "none", no_url_because = "there are no weights", commercial = true }
compute = { parameters = 0, scales_with = "systems", batch = 8 }
provenance = { architecture = "sums", training_sets = [], citation = "none" }
tolerance = { batch = 1e-6 }
representation = [
    { name = "nodes", layer = "a row per atom", level = "node", pooling = "mean", \
channels = "all", dimension = 3 },
    { name = "whole", layer = "the mean", level = "system", pooling = "none", \
channels = "all", dimension = 2 },
]
%s
"""
MODELS = {"toy": "", "toy-picky": 'elements = "H-Xe"', "toy-broken": "options = { broken = true }"}
MODELS["toy-potential"] = 'energy = { reference = "as many eV as its atomic numbers add up to" }'
ENCODER = '''
"""Sums, and on request the faults that a real model may have."""
import os
import signal
import time
from pathlib import Path

import numpy as np

from zoo.encoder import Encoder


class FamilyEncoder(Encoder):
    seen = 0

    def __init__(self, model, **rest):
        super().__init__(model, **rest)
        if model["options"].get("broken"):
            raise ValueError("broken on purpose")
        if "TOY_CGROUP" in os.environ:
            Path(os.environ["TOY_CGROUP"], "cgroup.procs").write_text(str(os.getpid()))
        if "TOY_SEEN" in os.environ:
            Path(os.environ["TOY_SEEN"]).write_text("\\n".join(os.environ))
        if "TOY_PIDS" in os.environ:
            with Path(os.environ["TOY_PIDS"]).open("a") as pids:
                pids.write(f"{os.getpid()}\\n")
        if "TOY_PID" in os.environ:
            Path(os.environ["TOY_PID"]).write_text(str(os.getpid()))

    def prepare(self, system):
        if set(system.numbers) == {26}:
            raise ValueError("no iron today")
        return np.column_stack([system.numbers, system.positions[:, :2]]).astype(float)

    def encode(self, items, representations):
        if any(len(item) > int(os.environ.get("TOY_LARGE", "9999")) for item in items):
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen += len(items)
        kill = Path(os.environ.get("TOY_KILL", "/nowhere"))
        if kill.exists() and self.seen > int(kill.read_text()):
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
        ballast = np.ones((len(items), int(os.environ.get("TOY_MEGABYTES", "0")), 2**17))
        if "TOY_FILL" in os.environ:
            free = os.statvfs(os.environ["TOY_FILL"])
            Path(os.environ["TOY_FILL"], "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
        vectors = {"nodes": items, "whole": [item.mean(axis=0)[:2] for item in items]}
        energies = [float(item[:, 0].sum()) for item in items]
        return {name: vectors[name] for name in representations} | {"energy": energies}
'''


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make zoo/toy, a family's folder, and envs/toy, its environment; return their root."""
    root = tmp_path_factory.mktemp("toy")
    family = root / "zoo" / "toy"
    family.mkdir(parents=True)
    (family / "family.toml").write_text(FAMILY)
    (family / "models.toml").write_text("".join(MODEL % item for item in MODELS.items()))
    (family / "encoder.py").write_text(ENCODER)
    smallest = load_families()["controls"]  # needs numpy and pyarrow alone
    (family / "requirements.in").write_text("numpy\npyarrow\n")
    (family / "requirements.lock").write_bytes(smallest.lock.read_bytes())
    built = ROOT / ".envs" / smallest.name
    if built.exists():  # the same, and compiled; build() makes it anew where it is another
        shutil.copytree(built, root / "envs" / "toy", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATTERZOO_FAMILIES", str(root / "zoo"))
        patch.setenv("MATTERZOO_ENVS", str(root / "envs"))
        environment.build(find_family("toy"), print)
    return root


@pytest.fixture
def layout(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    """Return an empty place for a store, in a zoo that has the toy family."""
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(toy_folder / "zoo"))
    monkeypatch.setenv("MATTERZOO_ENVS", str(toy_folder / "envs"))
    monkeypatch.setenv("MATTERZOO_STORE", str(tmp_path / "matter.duckdb"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MATTERZOO_WORKER_ENV", "TOY_*")
    monkeypatch.chdir(tmp_path)
    return Layout.find()


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for copies of datasets, so that each is written by one test alone."""
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture
def dataset(layout: Layout, copies: Path) -> Callable[..., MaterializedDataset]:
    """Return a function that materializes n small molecules as the dataset `tiny`.

    `shift` moves one atom of each of the first `moved` molecules.
    """

    def make(n: int = 20, *, moved: int = 0, shift: float = 0.0) -> MaterializedDataset:
        def entries() -> Iterator[Entry | Unreadable]:
            for i in range(n):
                positions = np.zeros((2, 3))
                positions[1, 0] = 0.7 + 0.001 * i + (shift if i < moved else 0.0)
                labels = (Label("distance", float(positions[1, 0]), "Å", "made up"),)
                yield Entry(
                    f"s{i:04}", numbers=np.array([1, 1 + i % 9]), positions=positions, labels=labels
                )
            yield Unreadable("torn", "half a line")

        recipe = layout.data / f"recipe-{n}-{moved}-{shift}"
        recipe.parent.mkdir(exist_ok=True)
        recipe.write_text(recipe.name)
        tiny = Dataset("tiny", "Tiny", "made up", "CC0-1.0", ("numpy",), entries, (str(recipe),))
        folder, copy = layout.dataset("tiny"), copies / recipe.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        if copy.exists() and not folder.exists():
            shutil.copytree(copy, folder)
        made = materialize(tiny, folder)
        if not copy.exists():
            shutil.copytree(folder, copy)
        return made

    return make


@pytest.fixture
def planned(layout: Layout) -> Callable[..., Plan]:
    """Return a function that plans a toy model over a dataset."""

    def make(
        dataset: MaterializedDataset,
        model_id: str = "toy",
        names: tuple[str, ...] = ("nodes",),
        **more: object,
    ) -> Plan:
        return plan(layout, Request(find_model(model_id), dataset, names, **more))

    return make


@pytest.fixture
def finish() -> Callable[..., Run]:
    """Write what a worker leaves: random vectors and energies, and one failure.

    Without `merged`, the vectors are in shards, as earlier versions left them.
    """

    def write(run: Run | None, *, seed: int = 0, shard_rows: int = 7, merged: bool = True) -> Run:
        assert run is not None
        job = run.read("job/job.json")
        dimensions = {r["name"]: r["dimension"] for r in job["model"]["representation"]}
        systems = pq.read_table(run.systems, columns=["system_id", "content_hash"]).to_pylist()
        draw = np.random.default_rng(seed)
        rows = [
            system
            | {
                "representation": name,
                "status": "ok",
                "reason": None,
                "vector": draw.normal(size=2 * size if name.endswith(":nodes") else size),
            }
            for system in systems
            for name, size in dimensions.items()
            if name in job["representations"]
        ]
        energies = dict(
            zip([s["system_id"] for s in systems], draw.normal(size=len(systems)), strict=True)
        )
        for row in rows:  # without energies, as shards were before there were any
            row |= {"energy": energies[row["system_id"]]} if job["model"]["energy"] else {}
        for row in rows[-len(job["representations"]) :]:
            row |= {"status": "failed", "reason": "ValueError: made up", "vector": None}
        run.out.mkdir(exist_ok=True)
        for number, start in enumerate(range(0, len(rows), shard_rows)):
            write_shard(run, number, rows[start : start + shard_rows])
        run.write("out/run.json", run_json(job, len(rows)))
        if merged:
            convert(run)
        return run

    return write


def write_shard(run: Run, number: int, rows: list[dict[str, object]]) -> None:
    kinds = [
        ("system_id", pa.string()),
        ("content_hash", pa.string()),
        ("representation", pa.string()),
    ]
    kinds += [("status", pa.string()), ("reason", pa.string()), ("vector", pa.list_(pa.float32()))]
    kinds += [("energy", pa.float64())] if "energy" in rows[0] else []
    job = run.read("job/job.json")
    metadata = {key: job[key] for key in ("run_id", "model_id", "card_hash")}
    table = pa.Table.from_pylist(rows, pa.schema(kinds).with_metadata(metadata))
    pq.write_table(table, run.out / f"shard-{number:05}.parquet")


def run_json(job: dict[str, object], sent: int) -> dict[str, object]:
    failed = len(job["representations"])  # type: ignore[arg-type]
    counts = {"sent": sent, "ok": sent - failed, "failed": failed, "not_applicable": 0}
    times = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:00:09+00:00"}
    where = {
        "device": "cpu",
        "device_name": "made up",
        "driver": None,
        "dtype": job["dtype"],
        "python": "3.11",
    }
    found = {
        "versions": {"numpy": "2"},
        "weights": {},
        "seconds": {"total": 9.0},
        "peak_memory_bytes": 1,
    }
    names = {"run_id": job["run_id"], "model_id": job["model_id"]}
    return names | {"status": "ok", "counts": counts} | times | where | found


@pytest.fixture
def contents() -> Callable[[Path], dict[str, list[str]]]:
    """Return a function that reads every row of every table of a store, sorted."""

    def read(store: Path) -> dict[str, list[str]]:
        with connect(store, read_only=True) as connection:
            names = [
                n
                for (n,) in connection.execute(
                    "SELECT table_name FROM information_schema.tables"
                ).fetchall()
            ]
            tables = {
                n: connection.execute(f"FROM {n}").fetchall()
                for n in names
                if n != "schema_version"
            }
        return {name: sorted(map(repr, rows)) for name, rows in tables.items()}

    return read


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve published files, with an empty place for downloads."""
    monkeypatch.setenv("MATTERZOO_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as hub:
        yield hub


@pytest.fixture
def import_mine(layout: Layout, dataset: Callable[..., MaterializedDataset]) -> Callable[..., Run]:
    """Return a function that imports vectors, all with `value` as their first number."""

    def write(model_id: str, value: float = 1.0) -> Run:
        made = read_materialized(layout.dataset("tiny")) or dataset(20)
        file = layout.store.with_name(f"{model_id}-{value}.npz")
        vectors = np.random.default_rng(0).normal(size=(len(IDS), 3))
        vectors[:, 0] = value
        np.savez(file, system_id=np.array(IDS), vector=vectors)
        loaded = import_vectors(layout, ImportedVectors(model_id, file), made)
        assert loaded is not None
        return loaded[0]

    return write
