"""Checkpoints with random weights in the published format.

The reference computes the same vectors in another way: with numpy, atom by atom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from zoo.encoder import System
from zoo.families.molgraph.encoder import BONDS, CHIRALITY, DIRECTIONS, Network, read

Weights = Mapping[str, np.ndarray]


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the one file of a model, in its real size, which is small.

    The running statistics differ from their initial values.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = Network(model["options"])
    # Rows of GraphSAGE have length 1; by the statistics of longer ones all would look alike.
    unit = model["options"]["convolution"] == "graphsage"
    size = model["options"]["width"] ** -0.5 if unit else 1.0
    for norm in network.batch_norms:
        norm.running_mean.copy_(torch.randn(norm.num_features, generator=generator) * size)
        norm.running_var.copy_((torch.rand(norm.num_features, generator=generator) + 0.5) * size**2)
    if not model["stereochemistry"]:  # as published, both kinds of stereocenter are next to nothing
        network.x_embedding2.weight.data[1:] = 0.0
    path = folder / model["weights"]["files"][0]["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        network.state_dict(), path, _use_new_zipfile_serialization="features" in model["options"]
    )
    widths = {r["name"]: model["options"]["width"] for r in model["representation"]}
    return widths | {name: model["options"][name] for name in widths if name == "features"}


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the pooled vectors in float64, from neighbor lists, without torch's layers."""
    state = torch.load(
        folder / model["weights"]["files"][0]["path"], map_location="cpu", weights_only=True
    )
    weights = {name: tensor.double().numpy() for name, tensor in state.items()}
    molecule = read(system.smiles)
    neighbors = [neighbors_of(atom) for atom in molecule.GetAtoms()]
    tags = [
        (atom.GetAtomicNum() - 1, CHIRALITY.index(atom.GetChiralTag()))
        for atom in molecule.GetAtoms()
    ]
    x = np.array(
        [weights["x_embedding1.weight"][z] + weights["x_embedding2.weight"][tag] for z, tag in tags]
    )
    found = {"layer-0": x.mean(0)}
    layer = LAYERS[model["options"]["convolution"]]
    last = model["options"]["layers"] - 1
    for i in range(last + 1):
        own = {
            name.removeprefix(f"gnns.{i}."): value
            for name, value in weights.items()
            if name.startswith(f"gnns.{i}.")
        }
        x = normalized(layer(x, neighbors, own), weights, f"batch_norms.{i}.")
        found[f"layer-{i + 1}"] = x.mean(0)
        x = x if i == last else np.maximum(x, 0)
    found["last_hidden"] = x.mean(0)
    if "features" in model["options"]:
        found["features"] = affine(x.mean(0), weights, "feat_lin.")
    return found


def neighbors_of(atom: Chem.Atom) -> list[tuple[int, int, int]]:
    """Return (atom, kind of bond, direction) of all senders to an atom, itself included."""
    found = [(atom.GetIdx(), len(BONDS), 0)]
    for bond in atom.GetBonds():
        kind = BONDS.index(bond.GetBondType()), DIRECTIONS.index(bond.GetBondDir())
        found.append((bond.GetOtherAtomIdx(atom.GetIdx()), *kind))
    return found


def affine(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """Return x through a linear layer."""
    return x @ weights[f"{name}weight"].T + weights[f"{name}bias"]


def normalized(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """Return x through a batch norm with its running statistics."""
    scale = weights[f"{name}weight"] / np.sqrt(weights[f"{name}running_var"] + 1e-5)
    return (x - weights[f"{name}running_mean"]) * scale + weights[f"{name}bias"]


def messages(x: np.ndarray, senders: list[tuple[int, int, int]], own: Weights) -> np.ndarray:
    """Return the messages of the senders, one row each."""
    bonds = [
        own["edge_embedding1.weight"][kind] + own["edge_embedding2.weight"][way]
        for _, kind, way in senders
    ]
    return x[[i for i, _, _ in senders]] + np.array(bonds)


def gin(x: np.ndarray, neighbors: list[Any], own: Weights) -> np.ndarray:
    """Return the rows after a GIN."""
    total = np.array([messages(x, senders, own).sum(0) for senders in neighbors])
    return affine(np.maximum(affine(total, own, "mlp.0."), 0), own, "mlp.2.")


def gcn(x: np.ndarray, neighbors: list[Any], own: Weights) -> np.ndarray:
    """Return the rows after a GCN."""
    x = affine(x, own, "linear.")
    rows = []
    for senders in neighbors:
        degrees = np.array([len(senders) * len(neighbors[i]) for i, _, _ in senders])
        rows.append((messages(x, senders, own) / np.sqrt(degrees)[:, None]).sum(0))
    return np.array(rows)


def graphsage(x: np.ndarray, neighbors: list[Any], own: Weights) -> np.ndarray:
    """Return the rows after a GraphSAGE."""
    x = affine(x, own, "linear.")
    means = np.array([messages(x, senders, own).mean(0) for senders in neighbors])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def gat(x: np.ndarray, neighbors: list[Any], own: Weights) -> np.ndarray:
    """Return the rows after a GAT, computed one head at a time."""
    width = len(own["bias"])
    heads = []
    for head in (0, 1):
        part = slice(head * width, (head + 1) * width)
        mine = {
            name: own[f"{name}.weight"][:, part] for name in ("edge_embedding1", "edge_embedding2")
        }
        mine = {f"{name}.weight": value for name, value in mine.items()}
        values = affine(x, own, "weight_linear.")[:, part]
        to, of = np.split(own["att"][0, head], 2)
        rows = []
        for atom, senders in enumerate(neighbors):
            sent = messages(values, senders, mine)
            scores = values[atom] @ to + sent @ of
            scores = np.where(scores > 0, scores, 0.2 * scores)
            raised = np.exp(scores - scores.max())
            rows.append(raised / raised.sum() @ sent)
        heads.append(np.array(rows))
    return np.mean(heads, axis=0) + own["bias"]


def molclr_gcn(x: np.ndarray, neighbors: list[Any], own: Weights) -> np.ndarray:
    """Return the rows after MolCLR's GCN."""
    x = x @ own["weight"]
    return np.array([messages(x, senders, own).sum(0) for senders in neighbors]) + own["bias"]


LAYERS: dict[str, Callable[[np.ndarray, list[Any], Weights], np.ndarray]] = {
    "gin": gin,
    "gcn": gcn,
    "graphsage": graphsage,
    "gat": gat,
    "molclr_gcn": molclr_gcn,
}
