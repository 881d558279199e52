"""Checkpoints with random weights in the published format, and the package's own outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

os.environ["MATGL_BACKEND"] = "DGL"
os.environ["DGLBACKEND"] = "pytorch"

import matgl.models
import numpy as np
import torch
from ase import Atoms
from matgl.apps.pes import Potential
from matgl.data.transformer import Normalizer
from matgl.ext.ase import PESCalculator
from matgl.models import TransformedTargetModel
from matgl.utils.io import load_model
from matgl.utils.maths import decompose_tensor
from pymatgen.io.ase import AseAtomsAdaptor

from zoo.encoder import NotApplicable, System

VACUUM = 10.0  # Å


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write model.pt, state.pt and model.json, as the package saves them.

    They hold a potential, or a property with its scale.
    """
    torch.manual_seed(seed)
    options = model["options"]
    network = getattr(matgl.models, options["network"])(**options["arguments"])
    if options["saved_as"] == "Potential":
        saved = Potential(
            network,
            element_refs=np.linspace(-3, -1, len(network.element_types)),
            calc_stresses=False,
        )
    else:
        saved = TransformedTargetModel(network, Normalizer(mean=-1.5, std=2.0))
    saved.save(folder)
    return {r["name"]: r["dimension"] for r in model["representation"]}


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the pooled features that the network's parts get from `predict_structure`.

    Molecules are computed in a box of vacuum. If the network is part of a potential, the energy of
    the package's calculator is returned too.
    """
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    boxed = atoms.copy()
    if not atoms.pbc.any():
        boxed.center(vacuum=VACUUM)
        boxed.pbc = True
    if len(atoms) == 1 or not boxed.pbc.all():
        raise NotApplicable("the package takes crystals, and here molecules in a box")
    loaded = load_model(folder)
    layers = keep_layers(loaded.model.eval())
    # The level of theory; what the package takes for want of one is no number of a level.
    level = model["options"].get("fidelity")
    state = None if level is None else torch.tensor([level])
    with torch.no_grad():
        loaded.model.predict_structure(AseAtomsAdaptor.get_structure(boxed), state_attr=state)
    rows = {f"layer-{i}": layer for i, layer in enumerate(layers)} | {"last_hidden": layers[-1]}
    means = {name: layer.numpy().mean(0) for name, layer in rows.items()}
    if not isinstance(loaded, Potential):
        return means
    return means | {
        "energy": np.array(PESCalculator(loaded, stress_unit="eV/A3").get_potential_energy(atoms))
    }


def keep_layers(network: torch.nn.Module) -> list[torch.Tensor]:
    """Return the list that the next call of a network fills with what its parts are given."""
    kept: list[torch.Tensor] = []

    def keep(layers: Iterable[torch.nn.Module], part: Callable[[Any], torch.Tensor]) -> None:
        for layer in layers:
            layer.register_forward_pre_hook(lambda _, given: kept.append(part(given).clone()))

    if isinstance(network, matgl.models.M3GNet):
        keep(network.graph_layers, lambda given: given[2])
    elif isinstance(network, matgl.models.MEGNet):
        keep(network.blocks, lambda given: given[2])
        keep([network.node_s2s], lambda given: given[1])
    elif isinstance(network, matgl.models.SO3Net):
        keep(network.so3convs, lambda given: given[0][:, 0])
    else:
        keep(network.layers, lambda given: read(network, given[1]))
    if not isinstance(network, matgl.models.MEGNet):
        readout = network.readout if network.is_intensive else network.final_layer
        keep([readout], lambda given: given[0].ndata["node_feat"])
    return kept


def read(network: torch.nn.Module, matrices: torch.Tensor) -> torch.Tensor:
    """Return what the last layers of a TensorNet make of the matrices of its channels."""
    norms = [(part**2).sum((-2, -1)) for part in decompose_tensor(matrices)]
    return network.linear(network.out_norm(torch.cat(norms, dim=-1)))
