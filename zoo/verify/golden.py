"""Golden vectors: what a family's models make of a few small systems, kept in its folder as golden.parquet.

    python -m zoo.golden FAMILY --env-python .envs/FAMILY/bin/python

A row for each model, representation and system that the model takes: model_id, representation, vector, and the
system's own columns, as in a job's systems.parquet. A file that is there already keeps its systems.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo.cards.discovery import find_family
from zoo.cards.family import Family, Selection
from zoo.cards.schema import Model
from zoo.places import worker_imports
from zoo.variables import for_worker
from zoo.verify.sample_systems import default_systems
from zoo.weights.local import find_weights, needed_files
from zoo.worker.job import SYSTEMS_FILE, Job
from zoo.worker.tables import SYSTEMS

Start = Callable[[Family, Path, Path], None]  # runs the worker on a job's folder to its end

GOLDEN = pa.schema(
    [
        ("model_id", pa.string()),
        ("representation", pa.string()),
        ("vector", pa.list_(pa.float32())),
        *(field.with_nullable(True) for field in SYSTEMS),
    ]
)


class GoldenError(Exception):
    """A model that gives no golden vectors at all."""


def systems_of(golden: Path) -> pa.Table:
    """The systems of a golden file, each once."""
    rows = {
        row["system_id"]: row for row in pq.read_table(golden, columns=SYSTEMS.names).to_pylist()
    }
    return pa.Table.from_pylist(list(rows.values()), schema=SYSTEMS)


def in_environment(python: Path, weights: Path | None = None) -> Start:
    """Start the worker with the Python of the family's local environment, and the folder of the model's weights."""

    def start(family: Family, job: Path, out: Path) -> None:
        command = [
            str(python),
            "-P",
            "-m",
            "zoo.worker",
            str(job),
            str(out),
            "--family",
            str(family.path.resolve()),
        ]
        command += [] if weights is None else ["--weights", str(weights)]
        done = subprocess.run(
            command, cwd=job, env=variables(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise GoldenError(f"the worker failed:\n{done.stderr}")

    return start


def variables() -> dict[str, str]:
    """Return the environment variables of a process in a family's environment."""
    return for_worker() | {"PYTHONPATH": str(worker_imports()), "HF_HUB_OFFLINE": "1"}


def embed(
    model: Model,
    family: Family,
    systems: pa.Table,
    start: Start,
    *,
    batch: int | None = None,
    untrained_seed: int | None = None,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """The rows of the worker's shards, in every representation. GoldenError if it or a system fails."""
    job = Job(
        run_id="golden",
        model_id=model.id,
        model=model.for_worker(),
        representations=tuple(r.name for r in model.representation),
        untrained_seed=untrained_seed,
        device=device,
        batch=batch,
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "golden", "job"), Path(temporary, "golden", "out")
        folder.mkdir(parents=True)
        job.write(folder)
        pq.write_table(systems, folder / SYSTEMS_FILE)
        start(family, folder, out)
        rows: list[dict[str, Any]] = pq.read_table(sorted(out.glob("shard-*.parquet"))).to_pylist()
    failed = [f"{row['system_id']}: {row['reason']}" for row in rows if row["status"] == "failed"]
    if failed:
        raise GoldenError(f"{model.id} failed on {'; '.join(failed)}")
    return rows


def compute(model: Model, family: Family, systems: pa.Table, start: Start) -> pa.Table:
    """The golden rows of one model. GoldenError if it or a system fails."""
    rows = embed(model, family, systems, start)
    known = {row["system_id"]: row for row in systems.to_pylist()}
    kept = [
        {"model_id": model.id, **row, **known[row["system_id"]]}
        for row in rows
        if row["status"] == "ok"
    ]
    kept.sort(key=lambda row: (row["representation"], row["system_id"]))
    return pa.Table.from_pylist(kept, schema=GOLDEN)


def differences(model: Model, family: Family, start: Start) -> list[str]:
    """Where a model does not give its golden vectors again; empty if it does.

    Within the card's tolerance: another processor adds in another order, as another batch or orientation does.
    """
    golden = family.path / "golden.parquet"
    expected = _by_key(
        row for row in pq.read_table(golden).to_pylist() if row["model_id"] == model.id
    )
    found = _by_key(compute(model, family, systems_of(golden), start).to_pylist())
    faults = [
        f"{' '.join(key)}: was not computed" for key in sorted(expected.keys() - found.keys())
    ]
    faults += [
        f"{' '.join(key)}: is not in {golden}" for key in sorted(found.keys() - expected.keys())
    ]
    tolerance = model.tolerance.rotation or model.tolerance.batch
    for key in sorted(expected.keys() & found.keys()):
        distance = np.linalg.norm(found[key] - expected[key]) / np.linalg.norm(expected[key])
        if not distance <= tolerance:
            faults.append(
                f"{' '.join(key)}: differs by {distance:.2g} of the vector's norm, {tolerance:g} is allowed"
            )
    return faults


def _by_key(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], np.ndarray]:
    return {
        (r["model_id"], r["representation"], r["system_id"]): np.array(r["vector"]) for r in rows
    }


def write(family: Family, python: Path) -> Path:
    """Compute the golden vectors of the family's models and write its golden.parquet.

    A model whose weights are not at hand keeps those that are there.
    """
    golden = family.path / "golden.parquet"
    before = pq.read_table(golden) if golden.exists() else GOLDEN.empty_table()
    systems = systems_of(golden) if golden.exists() else default_systems()
    tables = []
    for model in family.models:
        selection = Selection(family=family, model=model, untrained=False)
        place = find_weights(selection)
        if needed_files(selection) and place is None:
            tables.append(before.filter(pc.field("model_id") == model.id))
        else:
            start = in_environment(python, place.folder if place else None)
            tables.append(compute(model, family, systems, start))
    pq.write_table(pa.concat_tables(tables), golden, compression="zstd")
    return golden


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m zoo.golden", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("family")
    parser.add_argument(
        "--env-python", type=Path, required=True, help="the Python of the family's environment"
    )
    options = parser.parse_args()
    print(write(find_family(options.family), options.env_python.absolute()))
