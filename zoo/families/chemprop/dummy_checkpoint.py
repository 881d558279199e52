"""A checkpoint with random weights in CheMeleon's format, and the package's fingerprint from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chemprop.data import BatchMolGraph
from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
from chemprop.models import MPNN
from chemprop.nn import BondMessagePassing, MeanAggregation, RegressionFFN
from rdkit import Chem

from zoo.encoder import System

WIDTH = 64


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the arguments and the state of a narrow network, in one dictionary as published."""
    torch.manual_seed(seed)
    arguments = {**model["options"], "d_h": WIDTH}
    content = {
        "hyper_parameters": arguments,
        "state_dict": BondMessagePassing(**arguments).state_dict(),
    }
    torch.save(content, folder / model["weights"]["files"][0]["path"])
    return {"last_hidden": WIDTH} | {f"layer-{i}": WIDTH for i in range(arguments["depth"] + 1)}


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return MPNN.fingerprint of one molecule, as CheMeleon's authors compute it.

    A layer is the fingerprint by a network that makes so many rounds of messages.
    """
    published = torch.load(folder / model["weights"]["files"][0]["path"], weights_only=True)
    network = BondMessagePassing(**published["hyper_parameters"])
    network.load_state_dict(published["state_dict"])
    whole = MPNN(network, MeanAggregation(), RegressionFFN(input_dim=network.output_dim)).eval()
    canonical = Chem.MolToSmiles(Chem.MolFromSmiles(system.smiles))
    graph = SimpleMoleculeMolGraphFeaturizer()(Chem.MolFromSmiles(canonical))
    found, depth = {}, network.depth
    rounds = {f"layer-{i}": i for i in range(1, depth + 1)} | {"last_hidden": depth}
    for name, network.depth in rounds.items():
        with torch.no_grad():
            found[name] = whole.fingerprint(BatchMolGraph([graph]))[0].numpy()
    return found
