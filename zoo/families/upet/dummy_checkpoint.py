"""A small PET in a checkpoint of metatrain.

The package's own exported model gives the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import metatomic.torch as mta
import numpy as np
import torch
from ase import Atoms
from metatomic_ase import MetatomicCalculator
from metatrain.llpr import LLPRUncertaintyModel
from metatrain.pet import PET
from metatrain.utils.architectures import get_default_hypers
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info
from upet import get_upet

from zoo.encoder import System

SMALL = {
    "d_pet": 16,
    "d_head": 16,
    "d_feedforward": 32,
    "num_heads": 4,
    "num_attention_layers": 1,
}
FIRST = {  # PET-MAD 1.0
    "d_node": 16,
    "cutoff_function": "Cosine",
    "cutoff_width": 0.2,
    "normalization": "LayerNorm",
    "activation": "SiLU",
    "transformer_type": "PostLN",
    "featurizer_type": "residual",
}
NEWER = {
    "d_node": 64,
    "cutoff": 8.0,
    "num_neighbors_adaptive": 16,
    "adaptive_cutoff_method": "grid",
}
DIRECT = {
    "non_conservative_forces": {
        "quantity": "force",
        "unit": "eV/A",
        "sample_kind": "atom",
        "rank": 1,
    },
    "non_conservative_stress": {
        "quantity": "pressure",
        "unit": "eV/A^3",
        "sample_kind": "system",
        "rank": 2,
    },
}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write a small checkpoint of the model's release and return its dimensions."""
    torch.manual_seed(seed + 1)  # not the twin's weights
    first = "v1.0.2" in model["weights"]["files"][0]["path"]
    hypers = get_default_hypers("pet")["model"] | SMALL | (FIRST if first else NEWER)
    depth = len(model["layers"]["dimensions"]) - 2  # without the embedding and the head
    hypers["num_gnn_layers"] = depth
    targets = {
        "energy": get_energy_target_info("energy", {"quantity": "energy", "unit": "eV"}, True, True)
    }
    if not first:
        targets |= {name: direct(name, **options) for name, options in DIRECT.items()}
    network = PET(hypers, DatasetInfo("angstrom", model["elements"], targets))
    path = folder / model["weights"]["files"][0]["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save((wrapped(network) if "pet-mad" in model["id"] else network).get_checkpoint(), path)
    layers = network.num_readout_layers
    return {
        "last_hidden": network.last_layer_feature_size,
        "features": layers * (hypers["d_node"] + hypers["d_pet"]),
        **{f"layer-{i}": hypers["d_node"] for i in range(depth + 1)},
        f"layer-{depth + 1}": network.last_layer_feature_size,
    }


def direct(name: str, *, quantity: str, unit: str, sample_kind: str, rank: int) -> Any:
    """Return the target of a property that is predicted directly, not as a gradient."""
    options = {
        "quantity": quantity,
        "unit": unit,
        "sample_kind": sample_kind,
        "type": {"cartesian": {"rank": rank}},
    }
    return get_generic_target_info(name, options | {"num_subtargets": 1})


def wrapped(network: PET) -> LLPRUncertaintyModel:
    """Return the network with an estimate of the energy's uncertainty.

    PET-MAD is published in this form.
    """
    energy = {"energy": network.dataset_info.targets["energy"]}
    info = DatasetInfo("angstrom", network.dataset_info.atomic_types, energy)
    outer = LLPRUncertaintyModel({"num_ensemble_members": {"energy": 4}}, info)
    outer.set_wrapped_model(network)
    return outer


@cache
def calculator(path: str) -> MetatomicCalculator:
    """Return the package's calculator, one per file."""
    return MetatomicCalculator(get_upet(checkpoint_path=path), device="cpu")


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the energy and the means over atoms from the exported, scripted model.

    They are read through the package's ASE interface, which gives no inner layer.
    """
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    names = {"last_hidden": "mtt::aux::energy_last_layer_features", "features": "feature"}
    wanted = {name: mta.ModelOutput(sample_kind="atom") for name in names.values()}
    found = calculator(str(folder / model["weights"]["files"][0]["path"])).run_model(atoms, wanted)
    means = {
        name: found[output].block().values.numpy().mean(axis=0) for name, output in names.items()
    }
    means[f"layer-{len(model['layers']['dimensions']) - 1}"] = means["last_hidden"]
    atoms.calc = calculator(str(folder / model["weights"]["files"][0]["path"]))
    return means | {"energy": np.array(atoms.get_potential_energy())}
