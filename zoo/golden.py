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
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ase import Atoms
from ase.build import bulk, molecule

from zoo.card import ROOT, Family, Model, find_family
from zoo.worker import JOB_VERSION

ROWS = pa.list_(pa.list_(pa.float64()))
SYSTEM = {"system_id": pa.string(), "content_hash": pa.string(), "numbers": pa.list_(pa.int16()), "positions": ROWS}
SYSTEM |= {"cell": ROWS, "pbc": pa.list_(pa.bool_()), "charge": pa.int32(), "spin": pa.int32()}
SYSTEM |= {"smiles": pa.string(), "sequence": pa.string(), "backbone": pa.list_(ROWS)}
GOLDEN = pa.schema({"model_id": pa.string(), "representation": pa.string(), "vector": pa.list_(pa.float32())} | SYSTEM)


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


def compute(model: Model, family: Family, systems: pa.Table, python: Path) -> pa.Table:
    """The rows of one model, by the worker in the family's environment. RuntimeError if it or a system fails."""
    job = {"job_version": JOB_VERSION, "run_id": "golden", "model_id": model.id, "model": model.for_worker()}
    job |= {"untrained_seed": None, "representations": [r.name for r in model.representation], "device": "cpu"}
    job |= {"dtype": "float32", "batch": None, "seed": 0, "card_hash": model.hash}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "job.json").write_text(json.dumps(job))
        pq.write_table(systems, Path(folder, "systems.parquet"))
        command = [str(python), "-P", "-m", "zoo.worker", folder, f"{folder}/out"]
        command += ["--family", str(family.path.resolve())]
        environment = os.environ | {"PYTHONPATH": str(ROOT.parent), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{model.id}: the worker failed:\n{done.stderr}")
        rows = pq.read_table(sorted(Path(folder, "out").glob("shard-*.parquet"))).to_pylist()
    failed = [f"{row['system_id']}: {row['reason']}" for row in rows if row["status"] == "failed"]
    if failed:
        raise RuntimeError(f"{model.id} failed on {'; '.join(failed)}")
    known = {row["system_id"]: row for row in systems.to_pylist()}
    kept = [{"model_id": model.id, **row, **known[row["system_id"]]} for row in rows if row["status"] == "ok"]
    kept.sort(key=lambda row: (row["representation"], row["system_id"]))
    return pa.Table.from_pylist(kept, schema=GOLDEN)


def write(family: Family, python: Path) -> Path:
    """Compute the golden vectors of every model of the family and write its golden.parquet."""
    golden = family.path / "golden.parquet"
    systems = systems_of(golden) if golden.exists() else default_systems()
    tables = [compute(model, family, systems, python) for model in family.models]
    pq.write_table(pa.concat_tables(tables), golden, compression="zstd")
    return golden


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m zoo.golden", description=str(__doc__).splitlines()[0])
    parser.add_argument("family")
    parser.add_argument("--env-python", type=Path, required=True, help="the Python of the family's environment")
    options = parser.parse_args()
    print(write(find_family(options.family), options.env_python.absolute()))
