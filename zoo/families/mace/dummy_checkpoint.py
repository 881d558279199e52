"""A small MACE with random weights, pickled whole as the published files are.

The package's calculator gives the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mace  # noqa: F401 - before e3nn: lets torch unpickle e3nn's constants
import numpy as np
import torch
from ase import Atoms
from e3nn import o3
from mace.calculators import MACECalculator
from mace.modules import ScaleShiftMACE, interaction_classes
from mace.tools.torch_tools import default_dtype

from zoo.encoder import System

CHANNELS = 8
ZBL = {"pair_repulsion": True, "distance_transform": "Agnesi"}
EDGES = {
    "apply_cutoff": False,
    "edge_irreps": o3.Irreps("4x0e+4x1o"),
    "use_edge_irreps_first": True,
}
CONDITION = {"type": "categorical", "per": "graph", "in_dim": 1, "emb_dim": 8}
CHARGED = {
    "total_spin": CONDITION | {"num_classes": 101, "offset": 0},
    "total_charge": CONDITION | {"num_classes": 201, "offset": 100},
}
# Beginning of a model's id: the first interaction, the other interactions, and the rest of its
# published configuration.
KINDS = {
    "mace-mp-0b": ("Density", "DensityResidual", ZBL),
    "mace-mp-0": ("Residual", "Residual", {}),
    "mace-mh": (
        "ResidualNonLinear",
        "ResidualNonLinear",
        ZBL | EDGES | {"use_agnostic_product": True},
    ),
    "mace-omol": (
        "ResidualNonLinear",
        "ResidualNonLinear",
        {
            "apply_cutoff": False,
            "correlation": 2,
            "num_interactions": 3,
            "embedding_specs": CHARGED,
        },
    ),
    "mace-off": ("", "Residual", {}),
    "mace-": ("Density", "DensityResidual", ZBL),
}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write a small network of the model's kind and return its dimensions."""
    torch.manual_seed(seed + 1)  # not the twin's weights
    dimensions = {r["name"]: r["dimension"] for r in model["representation"]}
    rank = highest_rank(dimensions)
    with default_dtype("float64"):
        torch.save(network(model, rank), folder / model["weights"]["files"][0]["path"])
    layers = dimensions["invariant_layers"] // dimensions["invariant"]
    small = {"invariant": CHANNELS, "invariant_layers": CHANNELS * layers}
    small |= {f"layer-{i}": CHANNELS for i in range(layers + 1)}
    return small | (
        {"all": CHANNELS * ((rank + 1) ** 2 * (layers - 1) + 1)} if "all" in dimensions else {}
    )


def highest_rank(dimensions: Mapping[str, int]) -> int:
    """Return the largest l of the published network's features.

    Its first layer has (l + 1)² channels for each scalar.
    """
    channels = dimensions["invariant"]
    return (
        0
        if "all" not in dimensions
        else int(((dimensions["all"] - channels) / channels) ** 0.5) - 1
    )


def network(model: Mapping[str, Any], rank: int) -> ScaleShiftMACE:
    """Return a small network of the model's kind."""
    first, others, more = next(
        kind for start, kind in KINDS.items() if model["id"].startswith(start)
    )
    elements = model["elements"]
    configuration = {
        "r_max": 5.0,
        "num_bessel": 4,
        "num_polynomial_cutoff": 5,
        "max_ell": 3,
        "interaction_cls": interaction_classes[f"RealAgnostic{others}InteractionBlock"],
        "interaction_cls_first": interaction_classes[f"RealAgnostic{first}InteractionBlock"],
        "num_interactions": 2,
        "num_elements": len(elements),
        "hidden_irreps": o3.Irreps(
            "+".join(f"{CHANNELS}x{i}{'eo'[i % 2]}" for i in range(rank + 1))
        ),
        "MLP_irreps": o3.Irreps("4x0e"),
        "atomic_energies": np.zeros((1, len(elements))),
        "avg_num_neighbors": 20.0,
        "atomic_numbers": elements,
        "correlation": 3,
        "gate": torch.nn.functional.silu,
        "radial_MLP": [8, 8, 8],
        "atomic_inter_scale": 1.0,
        "atomic_inter_shift": 0.0,
    }
    return ScaleShiftMACE(**configuration | more)


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return means of MACECalculator.get_descriptors, and its energy, in float64.

    The first layer's features are read before its first linear map.
    """
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    path = folder / model["weights"]["files"][0]["path"]
    heads = getattr(torch.load(path, map_location="cpu", weights_only=False), "heads", [None])
    calculator = MACECalculator(
        model_paths=str(path), device="cpu", default_dtype="float64", head=heads[0]
    )
    embedded: list[torch.Tensor] = []
    calculator.models[0].interactions[0].linear_up.register_forward_pre_hook(
        lambda _, args: embedded.append(args[0].detach())
    )
    layers = int(calculator.models[0].num_interactions)
    scalars = calculator.get_descriptors(atoms, invariants_only=True).mean(axis=0)
    each = np.split(scalars, layers)
    means = {"invariant_layers": scalars, "invariant": each[-1]}
    means |= {f"layer-{i}": own for i, own in enumerate(each, start=1)}
    means["layer-0"] = embedded[0].numpy().mean(axis=0)
    means["all"] = calculator.get_descriptors(atoms, invariants_only=False).mean(axis=0)
    atoms.calc = calculator
    energy = np.array(atoms.get_potential_energy())
    return {r["name"]: means[r["name"]] for r in model["representation"]} | {"energy": energy}
