"""A small network in the published format.

It is what the package's own training writes as its inference checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from ase import Atoms
from fairchem.core import FAIRChemCalculator
from fairchem.core.units.mlip_unit import InferenceSettings, load_predict_unit
from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint

from zoo.encoder import System

BACKBONE = {
    "model": "fairchem.core.models.uma.escn_moe.eSCNMDMoeBackbone",
    "moe_dropout": 0.05,
    "moe_layer_type": "pytorch",
    "num_experts": 4,
    "use_composition_embedding": True,
    "use_global_embedding": False,
    "max_num_elements": 100,
    # As in the releases, because the untrained twin is built without a file.
    "sphere_channels": 128,
    "mmax": 2,
    "otf_graph": False,
    "max_neighbors": 300,
    "use_pbc": True,
    "use_pbc_single": True,
    "cutoff": 6,
    "edge_channels": 16,
    "distance_function": "gaussian",
    "num_distance_basis": 16,
    "regress_forces": True,
    "regress_stress": True,
    "direct_forces": False,
    "hidden_channels": 16,
    "norm_type": "rms_norm_sh",
    "act_type": "gate",
    "ff_type": "spectral",
    "chg_spin_emb_type": "rand_emb",
    "cs_emb_grad": True,
}
TASKS = ("oc20", "omol", "omat", "odac", "omc")
# The differences between the releases: UMA 1.1 has its version in the backbone. UMA 1.2 has an id,
# and two more tasks.
RELEASES = {
    "uma-s-1p1": {"lmax": 2, "model_version": 1.1, "dataset_list": [*TASKS]},
    "uma-m-1p1": {"lmax": 4, "model_version": 1.1, "dataset_list": [*TASKS]},
    "uma-s-1p2": {"lmax": 2, "dataset_list": [*TASKS, "oc22", "oc25"]},
}
IDS = {"uma-s-1p2": {"model_id": "UMA-S-1.2"}}
SHAPES = {"energy": [1], "forces": [3], "stress": [1, 9]}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the checkpoint that the card names.

    Returns:
        The dimension of each representation.
    """
    path = folder / model["weights"]["files"][0]["path"]
    release = path.stem
    layers = model["layers"]  # None where nobody knows their number
    depth = len(layers["dimensions"]) - 1 if layers else 1
    config = model_config(release, depth)
    torch.manual_seed(seed + 1)  # the untrained twin may use `seed`
    network = hydra.utils.instantiate(config)
    averaged = torch.optim.swa_utils.AveragedModel(network)
    checkpoint = MLIPInferenceCheckpoint(
        model_config=config,
        model_state_dict=network.state_dict(),
        ema_state_dict=averaged.state_dict(),
        tasks_config=[task for name in RELEASES[release]["dataset_list"] for task in tasks(name)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    channels = BACKBONE["sphere_channels"]
    dimensions = {each["name"]: channels for each in model["representation"]}
    return dimensions | {"all": channels * (RELEASES[release]["lmax"] + 1) ** 2}


def model_config(release: str, depth: int) -> dict[str, Any]:
    """Return the network's configuration.

    The keys are those of the published training configurations.
    """
    head = {
        "module": "fairchem.core.models.uma.escn_moe.DatasetSpecificSingleHeadWrapper",
        "head_cls": "fairchem.core.models.uma.escn_md.MLP_EFS_Head",
        "head_kwargs": {"wrap_property": False},
        "dataset_names": RELEASES[release]["dataset_list"],
    }
    return {
        "_target_": "fairchem.core.models.base.HydraModel",
        "backbone": BACKBONE | RELEASES[release] | {"num_layers": depth},
        "heads": {"energyandforcehead": head},
        "pass_through_head_outputs": True,
        **IDS.get(release, {}),
    }


def tasks(dataset: str) -> list[dict[str, Any]]:
    """Return the properties of a task: energy and forces, and for two of the tasks stress."""
    names = ["energy", "forces", *(["stress"] if dataset in ("omat", "omc") else [])]
    return [task(dataset, name) for name in names]


def task(dataset: str, name: str) -> dict[str, Any]:
    """Return the configuration of one property of a task."""
    modules = "fairchem.core.modules.normalization"
    references = {"_target_": "torch.DoubleTensor", "_args_": [[0.0] * 100]}
    energy = {
        "element_references": {
            "_target_": f"{modules}.element_references.ElementReferences",
            "element_references": references,
        }
    }
    return {
        "_target_": "fairchem.core.units.mlip_unit.mlip_unit.Task",
        "name": f"{dataset}_{name}",
        "level": "atom" if name == "forces" else "system",
        "property": name,
        "out_spec": {"dim": SHAPES[name], "dtype": "float32"},
        "normalizer": {"_target_": f"{modules}.normalizer.Normalizer", "mean": 0.0, "rmsd": 1.423},
        "datasets": [dataset],
        **(energy if name == "energy" else {}),
    }


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return what blocks and head read while the package's calculator finds forces of one system.

    The calculator merges the experts into one for the system.
    """
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    name = model["options"]["task"]["periodic" if atoms.pbc.any() else "open"]
    if name == "omol" and system.charge is not None:
        atoms.info["charge"] = int(system.charge)
    if name == "omol" and system.spin is not None:
        atoms.info["spin"] = int(system.spin)
    settings = InferenceSettings(
        merge_mole=True, activation_checkpointing=False, execution_mode="general"
    )
    unit = load_predict_unit(folder / model["weights"]["files"][0]["path"], settings, device="cpu")
    # The energies of single atoms come from a table; their embedding does not.
    unit.model.module.supports_single_atoms = True
    read: list[torch.Tensor] = []
    head = unit.model.module.output_heads["energyandforcehead"]
    head.register_forward_pre_hook(
        lambda module, args: read.append(args[1]["node_embedding"].detach())
    )
    atoms.calc = FAIRChemCalculator(unit, task_name=name)
    atoms.get_potential_energy()  # merges the experts, and so replaces the blocks
    layers: list[torch.Tensor] = []
    for block in unit.model.module.backbone.blocks:
        block.register_forward_pre_hook(lambda _, args: layers.append(args[0][:, 0].detach()))
    atoms.calc.reset()
    atoms.get_potential_energy()
    mean = read[0].mean(0).cpu().numpy()
    means = [*(rows.mean(0).cpu().numpy() for rows in layers), mean[0]]
    named = {f"layer-{i}": each for i, each in enumerate(means)} if model["layers"] else {}
    return named | {"invariant": mean[0], "all": mean.ravel()}
