"""Golden vectors: what a family's models make of a few systems, kept in its golden.parquet.

    python -m zoo.verify.golden FAMILY --env-python .envs/FAMILY/bin/python

The file has one row per model, representation and system that the model takes: model_id,
representation, vector, and the system's own columns, as in a job's systems.parquet. A file that is
there already keeps its systems.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo.cards.discovery import find_family
from zoo.cards.family import Family, Selection
from zoo.cards.schema import Model
from zoo.verify.comparison import relative_distance
from zoo.verify.embedding import embed
from zoo.verify.environment import Start, worker_start
from zoo.verify.sample_systems import default_systems
from zoo.weights.local import find_weights, needed_files
from zoo.worker.tables import SYSTEMS

GOLDEN_FILE = "golden.parquet"
GOLDEN = pa.schema(
    [
        ("model_id", pa.string()),
        ("representation", pa.string()),
        ("vector", pa.list_(pa.float32())),
        *(field.with_nullable(True) for field in SYSTEMS),
    ]
)


def read_golden_systems(golden: Path) -> pa.Table:
    """Return the systems of a golden file, each once, in the columns of a job's systems.parquet.

    Args:
        golden: The file.
    """
    table = pq.read_table(golden, columns=SYSTEMS.names)
    rows = {row["system_id"]: row for row in table.to_pylist()}
    return pa.Table.from_pylist(list(rows.values()), schema=SYSTEMS)


def find_golden_differences(model: Model, family: Family, start: Start) -> list[str]:
    """Compute a model's golden vectors again, and find those that differ.

    They may differ within the card's tolerance: another processor adds in another order, as
    another batch or orientation does. Layers of which the file has no vectors are left out: they
    may have been named where the weights were not.

    Args:
        model: The model.
        family: Its family, which has a golden file.
        start: Starts the worker.

    Returns:
        One line per vector that differs, with how far a second computation is from the first, or
        that is there only once.
    """
    golden = family.path / GOLDEN_FILE
    expected = _by_key(
        row for row in pq.read_table(golden).to_pylist() if row["model_id"] == model.id
    )
    systems = read_golden_systems(golden)
    found = _by_key(_compute(model, family, systems, start).to_pylist())
    recorded = {representation for _, representation, _ in expected}
    layers = {each.name for each in model.representation if each.is_layer}
    found = {key: vector for key, vector in found.items() if key[1] not in layers - recorded}
    faults = [
        f"{' '.join(key)}: was not computed" for key in sorted(expected.keys() - found.keys())
    ]
    faults += [
        f"{' '.join(key)}: is not in {golden}" for key in sorted(found.keys() - expected.keys())
    ]
    bounds = model.tolerance.at(model.dtype)
    tolerance = bounds.rotation or bounds.batch
    apart = {
        key: relative_distance(expected[key], found[key])
        for key in sorted(expected.keys() & found.keys())
    }
    far = {key: distance for key, distance in apart.items() if not distance <= tolerance}  # or NaN
    # A model that does not repeat itself is another fault than one that has changed.
    again = _by_key(_compute(model, family, systems, start).to_pylist()) if far else {}
    faults += [
        f"{' '.join(key)}: differs by {distance:.2g} of the vector's norm, {tolerance:g} is "
        f"allowed; computed again it differs from itself by "
        f"{relative_distance(found[key], again[key]):.2g}"
        for key, distance in far.items()
    ]
    return faults


def write_golden(family: Family, python: Path) -> Path:
    """Compute the golden vectors of a family's models and write its golden file.

    Models without weights on this machine keep the vectors that they have there.

    Args:
        family: The family.
        python: The Python of its environment.

    Returns:
        The golden file.
    """
    golden = family.path / GOLDEN_FILE
    before = pq.read_table(golden) if golden.exists() else GOLDEN.empty_table()
    systems = read_golden_systems(golden) if golden.exists() else default_systems()
    tables = []
    for model in family.models:
        selection = Selection(family=family, model=model, untrained=False)
        local = find_weights(selection)
        if needed_files(selection) and local is None:
            tables.append(before.filter(pc.field("model_id") == model.id))
        else:
            start = worker_start(python, local.folder if local else None)
            tables.append(_compute(model, family, systems, start))
    pq.write_table(pa.concat_tables(tables), golden, compression="zstd")
    return golden


def _compute(model: Model, family: Family, systems: pa.Table, start: Start) -> pa.Table:
    """Return the golden rows of one model."""
    rows = embed(model, family, systems, start)
    known = {row["system_id"]: row for row in systems.to_pylist()}
    kept = [
        {"model_id": model.id, **row, **known[row["system_id"]]}
        for row in rows
        if row["status"] == "ok"
    ]
    kept.sort(key=lambda row: (row["representation"], row["system_id"]))
    return pa.Table.from_pylist(kept, schema=GOLDEN)


def _by_key(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], np.ndarray]:
    return {
        (r["model_id"], r["representation"], r["system_id"]): np.array(r["vector"]) for r in rows
    }


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m zoo.verify.golden", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("family")
    parser.add_argument(
        "--env-python", type=Path, required=True, help="the Python of the family's environment"
    )
    options = parser.parse_args()
    print(write_golden(find_family(options.family), options.env_python.absolute()))


if __name__ == "__main__":
    _main()
