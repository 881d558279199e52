"""A checkpoint with random weights.

It has the published size of 25 million parameters, because the package takes no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from orb_models.forcefield import pretrained
from orb_models.forcefield.atomic_system import SystemConfig
from orb_models.forcefield.calculator import ORBCalculator

from zoo.encoder import System

# Beginnings of names in this release: those in v2.
OLD_NAMES = {
    "heads.forces.": "node_head.",
    "heads.energy.": "graph_head.",
    "heads.stress.": "stress_head.",
}


def network(model: Mapping[str, Any]) -> torch.nn.Module:
    """Return the network of the card, drawn by the package's constructor."""
    options = model["options"]
    limits = SystemConfig(options["radius"], options["neighbours"])
    return getattr(pretrained, options["architecture"])(
        device="cpu", system_config=limits, **options.get("settings", {})
    )


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the state of a network, for v2 under its old names."""
    torch.manual_seed(seed + 1)  # not the twin's weights
    state = network(model).state_dict()
    if "v2" in model["options"]["architecture"]:
        state = {old_name(name): tensor for name, tensor in state.items()}
    torch.save(state, folder / model["weights"]["files"][0]["path"])
    return {r["name"]: r["dimension"] for r in model["representation"]}


def old_name(name: str) -> str:
    """Return the name of a weight in files of v2."""
    start = next((start for start in OLD_NAMES if name.startswith(start)), "")
    return OLD_NAMES.get(start, "") + name.removeprefix(start)


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the energy and the mean node features of the package's ASE calculator.

    The calculator runs every head with its gradients. Features of inner layers are those that the
    next layer is given.
    """
    path = str(folder / model["weights"]["files"][0]["path"])
    loaded = pretrained.load_model(
        network(model), path, "cpu", precision="float32-highest", compile=False
    )
    kept: list[torch.Tensor] = []
    for layer in loaded.model.gnn_stacks:
        layer.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    loaded.model.register_forward_hook(lambda _, __, found: kept.append(found["node_features"]))
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    atoms.info = {"charge": float(system.charge or 0), "spin": float(system.spin or 1)}
    calculator = ORBCalculator(loaded, device="cpu", edge_method="knn_scipy")
    calculator.calculate(atoms)
    means = [rows.detach().numpy().mean(axis=0) for rows in kept]
    layers = {f"layer-{i}": mean for i, mean in enumerate(means)}
    return layers | {"last_hidden": means[-1], "energy": calculator.results["energy"]}
