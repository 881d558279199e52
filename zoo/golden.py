"""Golden vectors: what a family's models make of a few small systems, kept in its folder as golden.parquet.

    python -m zoo.golden FAMILY --env-python .envs/FAMILY/bin/python

A row for each model, representation and system that the model takes: model_id, representation, vector, and the
system's own columns, as in a job's systems.parquet. A file that is there already keeps its systems.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase import Atoms
from ase.build import bulk, molecule

from zoo.card import ROOT, Family, Model, find_family
from zoo.worker import JOB_VERSION

Start = Callable[[Family, Path, Path], None]  # runs the worker on a job's folder to its end

ROWS = pa.list_(pa.list_(pa.float64()))
SYSTEM = {"system_id": pa.string(), "content_hash": pa.string(), "numbers": pa.list_(pa.int16()), "positions": ROWS}
SYSTEM |= {"cell": ROWS, "pbc": pa.list_(pa.bool_()), "charge": pa.int32(), "spin": pa.int32()}
SYSTEM |= {"smiles": pa.string(), "sequence": pa.string(), "backbone": pa.list_(ROWS)}
GOLDEN = pa.schema({"model_id": pa.string(), "representation": pa.string(), "vector": pa.list_(pa.float32())} | SYSTEM)


class GoldenError(Exception):
    """A model that gives no golden vectors at all."""


def default_systems() -> pa.Table:
    """Crystals, one of them distorted; molecules; a single atom."""
    distorted = bulk("Fe", cubic=True) * (2, 1, 1)
    distorted.rattle(0.1, seed=0)
    found = {"Si": bulk("Si"), "ZnS": bulk("ZnS", "wurtzite", 3.82, 6.26), "Fe": distorted}
    found |= {"CCO": molecule("CH3CH2OH"), "c1ccccc1": molecule("C6H6"), "[Ar]": Atoms("Ar")}
    rows = []
    for name, atoms in found.items():
        row = {"system_id": f"golden/{name}", "content_hash": hashlib.sha256(name.encode()).hexdigest()}
        row |= {"numbers": atoms.numbers, "positions": atoms.positions.tolist()}
        row |= {"cell": atoms.cell.tolist(), "pbc": atoms.pbc} if atoms.pbc.any() else {"smiles": name}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=pa.schema(SYSTEM))


def systems_of(golden: Path) -> pa.Table:
    """The systems of a golden file, each once."""
    rows = {row["system_id"]: row for row in pq.read_table(golden, columns=list(SYSTEM)).to_pylist()}
    return pa.Table.from_pylist(list(rows.values()), schema=pa.schema(SYSTEM))


def in_environment(python: Path) -> Start:
    """Start the worker with the Python of the family's local environment."""

    def start(family: Family, job: Path, out: Path) -> None:
        command = [str(python), "-P", "-m", "zoo.worker", str(job), str(out), "--family", str(family.path.resolve())]
        environment = os.environ | {"PYTHONPATH": str(ROOT.parent), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, cwd=job, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise GoldenError(f"the worker failed:\n{done.stderr}")

    return start


def compute(model: Model, family: Family, systems: pa.Table, start: Start) -> pa.Table:
    """The rows of one model, by the worker that `start` runs. GoldenError if it or a system fails."""
    job = {"job_version": JOB_VERSION, "run_id": "golden", "model_id": model.id, "model": model.for_worker()}
    job |= {"untrained_seed": None, "representations": [r.name for r in model.representation], "device": "cpu"}
    job |= {"dtype": "float32", "batch": None, "seed": 0, "card_hash": model.hash(untrained=False)}
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "golden", "job"), Path(temporary, "golden", "out")
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps(job))
        pq.write_table(systems, folder / "systems.parquet")
        start(family, folder, out)
        rows = pq.read_table(sorted(out.glob("shard-*.parquet"))).to_pylist()
    failed = [f"{row['system_id']}: {row['reason']}" for row in rows if row["status"] == "failed"]
    if failed:
        raise GoldenError(f"{model.id} failed on {'; '.join(failed)}")
    known = {row["system_id"]: row for row in systems.to_pylist()}
    kept = [{"model_id": model.id, **row, **known[row["system_id"]]} for row in rows if row["status"] == "ok"]
    kept.sort(key=lambda row: (row["representation"], row["system_id"]))
    return pa.Table.from_pylist(kept, schema=GOLDEN)


def differences(model: Model, family: Family, start: Start) -> list[str]:
    """Where a model does not give its golden vectors again; empty if it does.

    Within the card's tolerance: another processor adds in another order, as another batch or orientation does.
    """
    golden = family.path / "golden.parquet"
    expected = _by_key(row for row in pq.read_table(golden).to_pylist() if row["model_id"] == model.id)
    found = _by_key(compute(model, family, systems_of(golden), start).to_pylist())
    faults = [f"{' '.join(key)}: was not computed" for key in sorted(expected.keys() - found.keys())]
    faults += [f"{' '.join(key)}: is not in {golden}" for key in sorted(found.keys() - expected.keys())]
    tolerance = model.tolerance.rotation or model.tolerance.batch
    for key in sorted(expected.keys() & found.keys()):
        distance = np.linalg.norm(found[key] - expected[key]) / np.linalg.norm(expected[key])
        if not distance <= tolerance:
            faults.append(f"{' '.join(key)}: differs by {distance:.2g} of the vector's norm, {tolerance:g} is allowed")
    return faults


def _by_key(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], np.ndarray]:
    return {(r["model_id"], r["representation"], r["system_id"]): np.array(r["vector"]) for r in rows}


def write(family: Family, python: Path) -> Path:
    """Compute the golden vectors of every model of the family and write its golden.parquet."""
    golden = family.path / "golden.parquet"
    systems = systems_of(golden) if golden.exists() else default_systems()
    tables = [compute(model, family, systems, in_environment(python)) for model in family.models]
    pq.write_table(pa.concat_tables(tables), golden, compression="zstd")
    return golden


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m zoo.golden", description=str(__doc__).splitlines()[0])
    parser.add_argument("family")
    parser.add_argument("--env-python", type=Path, required=True, help="the Python of the family's environment")
    options = parser.parse_args()
    print(write(find_family(options.family), options.env_python.absolute()))
