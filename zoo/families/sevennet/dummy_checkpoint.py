"""A small SevenNet with random weights, saved as the published ones with several tasks.

The package's calculator gives the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from e3nn.o3 import Irreps
from sevenn import __version__
from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG
from sevenn.calculator import SevenNetCalculator
from sevenn.model_build import build_E3_equivariant_model
from sevenn.util import chemical_species_preprocess

from zoo.encoder import System

NATURAL = "8x0e+4x1o+2x2e"
BOTH = "4x0o+8x0e+4x1o+4x1e+2x2o+2x2e"
# Beginning of a model's id: irreps of the features, from the embedding to the last layer.
LAYERS = {
    "sevennet-omni-i12": ["8x0e", *[NATURAL] * 11, "8x0e"],
    "sevennet-": ["8x0e", NATURAL, BOTH, BOTH, NATURAL, "8x0e"],
}
TASKS = {
    "sevennet-mf": ["mpa", "omat24"],
    "sevennet-omni": [
        "mpa", "omat24", "matpes_pbe", "oc20", "oc22", "odac23", "omol25_low", "omol25_high",
        "spice", "qcml", "pet_mad", "mp_r2scan", "matpes_r2scan",
    ],
}  # fmt: skip
GATES = {"last_hidden": -1, "equivariant": -2}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write a small checkpoint of the model's kind and return its dimensions."""
    torch.manual_seed(seed + 1)  # not the twin's weights
    layers, tasks = (
        next(kind for start, kind in kinds.items() if model["id"].startswith(start))
        for kinds in (LAYERS, TASKS)
    )
    config = configuration(layers, tasks)
    checkpoint = {
        "model_state_dict": build_E3_equivariant_model(config).state_dict(),
        "optimizer_state_dict": {},
        "scheduler_state_dict": {},
        "config": config,
        "epoch": 1,
    }
    torch.save(checkpoint, folder / model["weights"]["files"][0]["path"])
    scalars = {f"layer-{i}": Irreps(irreps).count("0e") for i, irreps in enumerate(layers)}
    return {name: Irreps(layers[index]).dim for name, index in GATES.items()} | scalars


def configuration(layers: list[str], tasks: list[str]) -> dict[str, Any]:
    """Return a smaller version of the published preset for further training of SevenNet-MF-ompa."""
    return {
        **deepcopy(DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG),
        **chemical_species_preprocess([], universal=True),
        "version": __version__,
        "cutoff": 6.0,
        "channel": 8,
        "irreps_manual": layers,
        "lmax": 2,
        "is_parity": True,
        "num_convolution_layer": len(layers) - 1,
        "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 8},
        "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 5.5},
        "weight_nn_hidden_neurons": [16, 16],
        "self_connection_type": "nequip",
        "conv_denominator": [30.0] * (len(layers) - 1),
        "use_modality": True,
        "use_modal_self_inter_intro": True,
        "use_modal_self_inter_outro": True,
        "use_modal_output_block": True,
        "use_modal_wise_shift": True,
        "use_modal_wise_scale": False,
        "_number_of_modalities": len(tasks),
        "_modal_map": {task: index for index, task in enumerate(tasks)},
        "shift": [[0.0] * 119 for _ in tasks],
        "scale": [1.0] * 119,
    }


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the calculator's energy and the means of the same modules' outputs."""
    path = folder / model["weights"]["files"][0]["path"]
    calculator = SevenNetCalculator(str(path), device="cpu", modal=model["options"]["task"])
    gates = [
        module
        for name, module in calculator.model._modules.items()
        if name.endswith("equivariant_gate")
    ]
    found: dict[str, np.ndarray] = {}
    for name, index in GATES.items():
        gates[index].register_forward_hook(
            lambda _, __, data, name=name: found.update({name: data["x"].detach().numpy()})
        )
    for number, layer in enumerate([calculator.model.onehot_to_feature_x, *gates]):
        irreps = layer.gate.irreps_out if number else Irreps("8x0e")
        even = torch.cat([torch.full((each.dim,), str(each.ir) == "0e") for each in irreps])
        layer.register_forward_hook(
            lambda _, __, data, name=f"layer-{number}", even=even: found.update(
                {name: data["x"].detach()[:, even].numpy()}
            )
        )
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    energy = calculator.get_potential_energy(atoms)
    return {name: rows.mean(axis=0) for name, rows in found.items()} | {"energy": np.array(energy)}
