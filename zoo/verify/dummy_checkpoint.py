"""A small checkpoint in a model's published format, and what the model's own package makes of it.

    python -m zoo.verify.dummy_checkpoint write FAMILY CARD WEIGHTS               the last line is JSON, {representation: dimension}
    python -m zoo.verify.dummy_checkpoint reference FAMILY CARD WEIGHTS SYSTEMS VECTORS

Runs inside the family's environment, as the worker does: standard library, numpy, pyarrow, and the family's own
`dummy_checkpoint.py`, which defines `write(folder, model, seed)` and may define `reference(folder, model, system)`, which
returns {representation: vector}, and the package's own total energy in eV as "energy" where it has one.
FAMILY: the family's folder; CARD: the model's card, JSON; WEIGHTS: the folder of its files; SYSTEMS, VECTORS: Parquet.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.encoder import NotApplicable
from zoo.worker.applicability import reason_to_skip
from zoo.worker.tables import to_system

SEED = 0
VECTORS = pa.schema(
    {"system_id": pa.string(), "representation": pa.string(), "vector": pa.list_(pa.float64())}
)


def load(family: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "family_dummy_checkpoint", family / "dummy_checkpoint.py"
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules["family_dummy_checkpoint"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m zoo.verify.dummy_checkpoint", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("action", choices=("write", "reference"))
    for name in ("family", "card", "weights"):
        parser.add_argument(name, type=Path)
    parser.add_argument("systems", type=Path, nargs="?")
    parser.add_argument("vectors", type=Path, nargs="?")
    options = parser.parse_args()
    module, card = load(options.family), json.loads(options.card.read_text())
    if options.action == "write":
        print("\n" + json.dumps(module.write(options.weights, card, SEED)))
    elif hasattr(module, "reference"):
        pq.write_table(reference(module, card, options.weights, options.systems), options.vectors)
    return 0


def reference(
    module: ModuleType, card: dict[str, object], weights: Path, systems: Path
) -> pa.Table:
    """The vectors of every system that the card's limits let through, by the family's `reference`."""
    rows = []
    for batch in pq.read_table(systems).to_batches():
        for system in (to_system(batch, i) for i in range(batch.num_rows)):
            if reason_to_skip(system, card) is None:
                try:
                    found = module.reference(weights, card, system)
                except NotApplicable:
                    continue
                about = {"system_id": system.system_id}
                rows += [
                    about | {"representation": n, "vector": np.ravel(v)} for n, v in found.items()
                ]
    return pa.Table.from_pylist(rows, schema=VECTORS)


if __name__ == "__main__":
    sys.exit(main())
