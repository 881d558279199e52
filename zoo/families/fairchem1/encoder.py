"""EquiformerV2 (Barroso-Luque et al. 2024) and eSEN (Fu et al. 2025), the OMat24 release.

The package rotates the frame of each edge by a random angle, and the vectors depend slightly on
these angles. Each system is therefore computed on its own from the same random numbers, so that its
vector does not depend on the rest of the batch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_geometric.utils
from ase import Atoms
from torch_geometric.data import Data

from zoo.encoder import Encoder, NotApplicable, System

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
from fairchem.core.models.esen import esen, esen_dens  # noqa: E402, F401 - registers itself
from fairchem.core.preprocessing import AtomsToGraphs  # noqa: E402

FRAMES = 0  # the seed of the edges' frames

# The published training configurations, from configs/omat24 of the package's repository at version
# 1.10.0. The untrained twin is built from them, without the checkpoint.
COMMON = {
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
    "sphere_channels": 128,
    "attn_hidden_channels": 64,
    "num_heads": 8,
    "attn_alpha_channels": 64,
    "attn_value_channels": 16,
    "ffn_hidden_channels": 128,
    "norm_type": "layer_norm_sh",
    "grid_resolution": 18,
    "num_sphere_samples": 128,
    "edge_channels": 128,
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
SIZES = {
    "31M": {"num_layers": 8, "lmax_list": [4], "mmax_list": [2]},
    "86M": {"num_layers": 10, "lmax_list": [6], "mmax_list": [4]},
    "153M": {"num_layers": 20, "lmax_list": [6], "mmax_list": [3]},
}
ARCHITECTURES = {size: COMMON | numbers for size, numbers in SIZES.items()}
ARCHITECTURES |= {f"dens-{size}": COMMON | DENOISING | numbers for size, numbers in SIZES.items()}


class FamilyEncoder(Encoder):
    """A backbone of the OMat24 release, or its untrained twin.

    Both representations are the backbone's output per atom after its last norm, which every head
    reads. `invariant` is its part of degree zero. `all` holds every degree in rising order, so it
    begins with `invariant`.

    The option `architecture` names the untrained twin's configuration where one is published;
    otherwise the checkpoint's configuration is used. The twin is the backbone that the package's
    constructor draws after torch.manual_seed.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: this package reads structures in float32; use DTYPE=float32"
            )
        path = self.weights / model["weights"]["files"][0]["path"]
        if untrained_seed is None:
            network = load_model_and_weights_from_checkpoint(str(path)).backbone
        else:
            architecture = model["options"].get("architecture")
            network = untrained(
                ARCHITECTURES[architecture] if architecture else published(path), untrained_seed
            )
        network.regress_forces = network.regress_stress = False  # otherwise gradients are kept
        network.otf_graph = True  # the network finds the neighbors
        self.network = network.to(device).eval().requires_grad_(False)
        self.needs_edges = not isinstance(network, esen.eSEN_Backbone)
        self.graphs = AtomsToGraphs(
            r_energy=False, r_forces=False, r_distances=False, r_pbc=True, r_edges=False
        )

    def prepare(self, system: System) -> Data:
        """Return the structure; it may be periodic in any number of directions.

        The package finds the neighbors.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if any(atoms.pbc & ~atoms.cell.any(axis=1)) or (all(atoms.pbc) and atoms.cell.rank < 3):
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        if self.needs_edges and len(atoms) == 1 and not atoms.pbc.any():
            raise NotApplicable("a single atom: EquiformerV2 needs at least one pair of neighbours")
        return self.graphs.convert(atoms)

    def size(self, item: Data) -> int:
        """Return the number of atoms."""
        return int(item.natoms)

    @torch.no_grad()
    def encode(
        self, items: Sequence[Data], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Compute one system after the other, each with its edges' frames from the same seed."""
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in representations}
        for item in items:
            batch = data_list_collater([item.clone()], otf_graph=True).to(self.device)
            torch.manual_seed(FRAMES)
            embedding = self.network(batch)["node_embedding"]
            if isinstance(embedding, SO3_Embedding):
                embedding = embedding.embedding
            # The shape of the embedding is (atoms, orders, channels).
            rows = {"invariant": embedding[:, 0], "all": embedding.flatten(1)}
            for name in representations:
                vectors[name].append(rows[name].cpu().numpy())
        return vectors


def published(path: Path) -> dict[str, Any]:
    """Return the backbone's configuration from a checkpoint."""
    return torch.load(path, map_location="cpu", weights_only=False)["config"]["model"]["backbone"]


def untrained(backbone: Mapping[str, Any], seed: int) -> torch.nn.Module:
    """Return the backbone that the package's own constructor draws."""
    arguments = dict(backbone)
    constructor = registry.get_model_class(arguments.pop("model"))
    torch.manual_seed(seed)
    return constructor(**arguments)
