"""Write a dummy checkpoint, or compute its vectors with the model's own package.

    python -m zoo.verify.dummy_checkpoint write FAMILY CARD WEIGHTS
    python -m zoo.verify.dummy_checkpoint reference FAMILY CARD WEIGHTS SYSTEMS VECTORS

FAMILY is the family's folder, CARD the model's card in JSON, WEIGHTS the folder of its files,
SYSTEMS and VECTORS are Parquet. The last line that `write` prints is JSON: {representation:
dimension}.

The program runs inside the family's environment, as the worker does: with the standard library,
numpy, pyarrow, and the family's own `dummy_checkpoint.py`. That defines `write(folder, model,
seed)` and may define `reference(folder, model, system)`, which returns {representation: vector},
and the package's own total energy in eV as "energy" if the package has one.
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

SEED = 0  # of the numbers in a dummy checkpoint
VECTORS = pa.schema(
    {"system_id": pa.string(), "representation": pa.string(), "vector": pa.list_(pa.float64())}
)


def main() -> int:
    """Run the program.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m zoo.verify.dummy_checkpoint", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("action", choices=("write", "reference"))
    for name in ("family", "card", "weights"):
        parser.add_argument(name, type=Path)
    parser.add_argument("systems", type=Path, nargs="?")
    parser.add_argument("vectors", type=Path, nargs="?")
    options = parser.parse_args()
    module, card = _load(options.family), json.loads(options.card.read_text())
    if options.action == "write":
        print("\n" + json.dumps(module.write(options.weights, card, SEED)))
    elif hasattr(module, "reference"):
        pq.write_table(_reference(module, card, options.weights, options.systems), options.vectors)
    return 0


def _load(family: Path) -> ModuleType:
    name = "family_dummy_checkpoint"
    spec = importlib.util.spec_from_file_location(name, family / "dummy_checkpoint.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reference(
    module: ModuleType, card: dict[str, object], weights: Path, systems: Path
) -> pa.Table:
    """Return the package's vectors of every system that the card's limits let through."""
    rows = []
    for batch in pq.read_table(systems).to_batches():
        for system in (to_system(batch, i) for i in range(batch.num_rows)):
            if reason_to_skip(system, card) is not None:
                continue
            try:
                found = module.reference(weights, card, system)
            except NotApplicable:
                continue
            about = {"system_id": system.system_id}
            rows += [about | {"representation": n, "vector": np.ravel(v)} for n, v in found.items()]
    return pa.Table.from_pylist(rows, schema=VECTORS)


if __name__ == "__main__":
    sys.exit(main())
