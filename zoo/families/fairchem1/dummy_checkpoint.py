"""A small network in the published format.

It is what the package's own training writes as its best checkpoint.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_geometric.utils
from ase import Atoms

from zoo.encoder import NotApplicable, System

# The package imports torch_scatter, which no index offers built for this torch, and calls nothing
# of it for the features of these networks. torch_geometric has the same function.
sys.modules.setdefault("torch_scatter", torch_geometric.utils)

from fairchem.core.common.registry import registry  # noqa: E402
from fairchem.core.common.utils import load_model_and_weights_from_checkpoint  # noqa: E402
from fairchem.core.datasets import data_list_collater  # noqa: E402
from fairchem.core.models import base  # noqa: E402, F401 - registers itself
from fairchem.core.models.equiformer_v2 import (  # noqa: E402
    equiformer_v2,  # noqa: F401 - registers itself
    equiformer_v2_dens,  # noqa: F401 - registers itself
)
from fairchem.core.models.equiformer_v2.heads import rank2  # noqa: E402, F401 - registers itself
from fairchem.core.models.equiformer_v2.so3 import SO3_Embedding  # noqa: E402
from fairchem.core.models.esen import esen  # noqa: E402, F401 - registers itself
from fairchem.core.preprocessing import AtomsToGraphs  # noqa: E402

EQUIFORMER = {
    "model": "equiformer_v2_backbone",
    "use_pbc": True,
    "use_pbc_single": True,
    "otf_graph": True,
    "enforce_max_neighbors_strictly": False,
    "max_neighbors": 20,
    "max_radius": 12.0,
    "max_num_elements": 96,
    "avg_num_nodes": 31.17,
    "avg_degree": 61.95,
    "num_layers": 1,
    # As in the releases, because the untrained twin is built without a file.
    "sphere_channels": 128,
    "attn_hidden_channels": 8,
    "num_heads": 2,
    "attn_alpha_channels": 8,
    "attn_value_channels": 4,
    "ffn_hidden_channels": 8,
    "norm_type": "layer_norm_sh",
    "grid_resolution": 18,
    "num_sphere_samples": 128,
    "edge_channels": 8,
    "use_atom_edge_embedding": True,
    "share_atom_edge_embedding": False,
    "use_m_share_rad": False,
    "distance_function": "gaussian",
    "num_distance_basis": 512,
    "attn_activation": "silu",
    "use_s2_act_attn": False,
    "use_attn_renorm": True,
    "ffn_activation": "silu",
    "use_gate_act": False,
    "use_grid_mlp": True,
    "use_sep_s2_act": True,
    "alpha_drop": 0.1,
    "drop_path_rate": 0.1,
    "proj_drop": 0.0,
    "weight_init": "uniform",
}
DENOISING = {
    "model": "fairchem.core.models.equiformer_v2.equiformer_v2_dens.EqV2DeNSBackbone",
    "use_force_encoding": True,
    "use_noise_schedule_sigma_encoding": False,
}
DEGREES = {"31M": ([4], [2]), "86M": ([6], [4]), "153M": ([6], [3])}
STRESS = {"output_name": "stress", "use_source_target_embedding": True, "decompose": True}
HEADS = {
    "energy": {"module": "equiformer_v2_energy_head"},
    "forces": {"module": "equiformer_v2_force_head"},
    "stress": {"module": "rank2_symmetric_head", **STRESS},
}
MODULE = "fairchem.core.models.equiformer_v2.equiformer_v2_dens"
DENOISING_HEADS = {
    "energy": {"module": f"{MODULE}.DeNSScalarHead", "use_denoising": True},
    "forces": {"module": f"{MODULE}.DeNSVectorHead"},
    "stress": {"module": f"{MODULE}.DeNSRank2Head", **STRESS, "use_denoising": False},
}
ESEN = {
    "model": "esen_backbone",
    "max_num_elements": 100,
    "sphere_channels": 128,
    "lmax": 3,
    "mmax": 2,
    "otf_graph": True,
    "max_neighbors": 300,
    "use_pbc": True,
    "use_pbc_single": True,
    "cutoff": 6.0,
    "edge_channels": 8,
    "distance_function": "gaussian",
    "num_distance_basis": 16,
    "direct_forces": False,
    "regress_forces": True,
    "regress_stress": True,
    "num_layers": 2,
    "hidden_channels": 8,
    "norm_type": "rms_norm_sh",
    "act_type": "gate",
    "mlp_type": "spectral",
    "use_envelope": True,
}
ESEN_HEADS = {"mptrj": {"module": "esen_mlp_efs_head"}}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the checkpoint that the card names.

    Returns:
        The dimension of each representation.
    """
    architecture = model["options"].get("architecture")
    config, degree, trainer = (esen_config(), 3, "mlip_trainer")
    if architecture is not None:
        config, degree, trainer = (*equiformer_config(architecture), "equiformerv2_forces")
    torch.manual_seed(seed + 1)  # the untrained twin may use `seed`
    arguments = copy.deepcopy(config)
    network = registry.get_model_class(arguments.pop("name"))(**arguments)
    checkpoint = {
        "state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()},
        "normalizers": {},
        "elementrefs": {},
        "config": {"trainer": trainer, "model": config},
        "val_metrics": None,
        "amp": None,
    }
    torch.save(checkpoint, folder / model["weights"]["files"][0]["path"])
    channels = config["backbone"]["sphere_channels"]
    return {"invariant": channels, "all": channels * (degree + 1) ** 2}


def equiformer_config(architecture: str) -> tuple[dict[str, Any], int]:
    """Return the network's configuration and its highest degree.

    The keys are those of the published training configurations.
    """
    degrees, orders = DEGREES[architecture.removeprefix("dens-")]
    denoising = architecture.startswith("dens-")
    backbone = (
        EQUIFORMER | (DENOISING if denoising else {}) | {"lmax_list": degrees, "mmax_list": orders}
    )
    return network_config(backbone, DENOISING_HEADS if denoising else HEADS), degrees[0]


def esen_config() -> dict[str, Any]:
    """Return the configuration of a small eSEN."""
    return network_config(ESEN, ESEN_HEADS)


def network_config(backbone: Mapping[str, Any], heads: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's configuration from those of its backbone and its heads."""
    return {
        "name": "hydra",
        "pass_through_head_outputs": True,
        "otf_graph": True,
        "backbone": dict(backbone),
        "heads": dict(heads),
    }


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the input of the first head when the whole network runs on one system."""
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    if not atoms.pbc.any():
        raise NotApplicable("without a cell the heads have no stress to give")
    network = load_model_and_weights_from_checkpoint(
        str(folder / model["weights"]["files"][0]["path"])
    ).eval()
    read: list[Any] = []
    head = next(iter(network.output_heads.values()))
    head.register_forward_pre_hook(lambda module, args: read.append(args[1]["node_embedding"]))
    graph = AtomsToGraphs(
        r_energy=False, r_forces=False, r_distances=False, r_pbc=True, r_edges=False
    ).convert(atoms)
    torch.manual_seed(0)  # the seed of the edges' frames
    network(data_list_collater([graph], otf_graph=True))
    embedding = read[0].embedding if isinstance(read[0], SO3_Embedding) else read[0]
    mean = embedding.detach().mean(0).numpy()
    return {"invariant": mean[0], "all": mean.ravel()}
