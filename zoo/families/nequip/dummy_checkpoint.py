"""A small NequIP with random weights, packaged by nequip-package as the published ones are.

The package's calculator gives the reference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols
from ase.io import write as write_atoms
from nequip.data import AtomicDataDict
from nequip.integrations.ase import NequIPCalculator
from nequip.scripts import package
from nequip.train import EMALightningModule
from nequip.utils import get_current_code_versions
from nequip.utils.global_state import get_latest_global_state, set_global_state

from zoo.encoder import NotApplicable, System

FEATURES = [8, 4, 2]
EMBEDDED = 4  # numbers per element before the first layer
CUTOFF = 5.0  # Å
DATASETS = {"train": 1, "val": 1, "test": 0, "predict": 0}
LAYERS = {"last_hidden": -1, "equivariant": -2}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write a package of a small network and return its dimensions."""
    set_global_state(allow_tf32=False)
    elements = [chemical_symbols[z] for z in model["elements"]]
    depth = len(model["layers"]["dimensions"]) - 1
    network = configuration(elements, depth, seed + 1)  # not the twin's weights
    with tempfile.TemporaryDirectory() as temporary:
        structures, checkpoint = Path(temporary, "structures.xyz"), Path(temporary, "best.ckpt")
        write_atoms(structures, bulk("NaCl", "rocksalt", 5.64, cubic=True))
        torch.save(trained(network, data(elements, structures)), checkpoint)
        package.main(["build", str(checkpoint), str(folder / model["weights"]["files"][0]["path"])])
    return {
        "last_hidden": FEATURES[0],
        "equivariant": sum(n * (2 * rank + 1) for rank, n in enumerate(FEATURES)),
        "layer-0": EMBEDDED,
        **{f"layer-{i + 1}": FEATURES[0] for i in range(depth)},
    }


def configuration(elements: list[str], depth: int, seed: int) -> dict[str, Any]:
    """Return the configuration of the network, as in a file of nequip-train."""
    return {
        "_target_": "nequip.model.NequIPGNNModel",
        "seed": seed,
        "model_dtype": "float32",
        "type_names": elements,
        "r_max": CUTOFF,
        "num_layers": depth,
        "l_max": len(FEATURES) - 1,
        "parity": False,
        "num_features": FEATURES,
        "type_embed_num_features": EMBEDDED,
        "radial_mlp_depth": 1,
        "radial_mlp_width": 8,
        "avg_num_neighbors": 20.0,
        "per_type_energy_scales": dict.fromkeys(elements, 1.0),
        "per_type_energy_shifts": dict.fromkeys(elements, 0.0),
        "pair_potential": {
            "_target_": "nequip.nn.pair_potential.ZBL",
            "units": "metal",
            "chemical_species": elements,
        },
    }


def data(elements: list[str], structures: Path) -> dict[str, Any]:
    """Return the configuration of the data, from which a package takes its example."""
    return {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 0,
        "train_file_path": str(structures),
        "val_file_path": str(structures),
        "transforms": [
            {
                "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                "model_type_names": elements,
            },
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": CUTOFF},
        ],
    }


def trained(network: Mapping[str, Any], structures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what nequip-train leaves: a checkpoint of Lightning's after no step of training."""
    information = {
        "versions": get_current_code_versions(),
        "data": structures,
        "trainer": {"_target_": "lightning.Trainer"},
        "global_options": get_latest_global_state(),
        "runs": ["train"],
        "training_module": {"_target_": "nequip.train.EMALightningModule", "model": network},
    }
    module = EMALightningModule(model=network, num_datasets=DATASETS, info_dict=information)
    return {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the calculator's energy and the means of the same layers' outputs."""
    path = folder / model["weights"]["files"][0]["path"]
    calculator = NequIPCalculator._from_saved_model(
        path, device="cpu", chemical_species_to_atom_type_map=True
    )
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    if AtomicDataDict.num_edges(calculator.atoms_to_data(atoms)) == 0:
        raise NotApplicable("no atom has a neighbor")
    network = calculator.model.model.func
    layers = [module for name, module in network.named_children() if name.endswith("_convnet")]
    found: dict[str, np.ndarray] = {}

    def keep(name: str, rows: torch.Tensor) -> None:
        found[name] = rows.detach().numpy().astype(np.float64).mean(axis=0)

    for name, index in LAYERS.items():
        layers[index].register_forward_hook(
            lambda _, __, out, name=name: keep(name, out["node_features"])
        )
    for number, layer in enumerate(layers):  # scalars come first in irreps
        layer.register_forward_hook(
            lambda _, __, out, name=f"layer-{number + 1}": keep(
                name, out["node_features"][:, : FEATURES[0]]
            )
        )
    network.type_embed.register_forward_hook(
        lambda _, __, out: keep("layer-0", out["node_features"])
    )
    calculator.calculate(atoms)
    return found | {"energy": np.array(calculator.results["energy"])}
