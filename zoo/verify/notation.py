"""Whether a model reads a molecule as its card says, however somebody has spelled it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from zoo.cards.schema import Model
from zoo.verify.comparison import relative_distance
from zoo.verify.embedding import Vectors
from zoo.verify.sample_systems import molecule_row
from zoo.worker.tables import SYSTEMS

SPELLED = {  # name -> SMILES
    "ethanol": "CCO",
    "ethanol backwards": "OCC",
    "L-alanine": "C[C@H](N)C(=O)O",
    "L-alanine backwards": "OC(=O)[C@@H](N)C",
    "D-alanine": "C[C@@H](N)C(=O)O",
}
SAME = (("ethanol", "ethanol backwards"), ("L-alanine", "L-alanine backwards"))
MIRRORED = ("L-alanine", "D-alanine")


def spelled_systems() -> pa.Table:
    """Return molecules in two spellings each, and one with its mirror image."""
    rows = [molecule_row(name, smiles) for name, smiles in SPELLED.items()]
    return pa.Table.from_pylist(rows, schema=SYSTEMS)


def find_notation_faults(model: Model, vectors: Vectors, tolerance: float) -> Sequence[str]:
    """Find where spelling decides a vector, or a mirror image does not count as the card says.

    Args:
        model: The model, whose card states its stereochemistry.
        vectors: Its vectors of the molecules of `spelled_systems`, as far as it takes them.
        tolerance: The distance, relative to the vector's norm, of vectors that count as the same.

    Returns:
        One line per fault.
    """
    faults = []
    for name in (r.name for r in model.representation):
        for first, second in (*SAME, MIRRORED):
            pair = [vectors.get((f"golden/{system}", name)) for system in (first, second)]
            if pair[0] is None or pair[1] is None:
                continue
            same = relative_distance(pair[0], pair[1]) <= tolerance
            if (first, second) != MIRRORED:
                faults += [] if same else [f"{name} of {first} and of {second} differ"]
            elif same == model.stereochemistry:
                says = f"the card says stereochemistry = {str(model.stereochemistry).lower()}"
                found = "are the same" if same else "differ"
                faults.append(f"{name} of {first} and of {second} {found}, and {says}")
    return faults
