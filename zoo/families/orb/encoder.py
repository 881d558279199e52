"""Orb (Neumann et al. 2024; Rhodes et al. 2025): attention message passing over atoms, without built-in symmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from orb_models.forcefield import pretrained
from orb_models.forcefield.atomic_system import SystemConfig, ase_atoms_to_atom_graphs
from orb_models.forcefield.base import AtomGraphs, batch_graphs

from zoo.encoder import ENERGY, Encoder, System

PRECISIONS = {
    "float32": "float32-highest",
    "float64": "float64",
}  # 'float32-high', the package's default, is TF32
VACUUM = 10.0  # Å on each side, where a structure is periodic in some directions only: images are beyond the cutoff


class FamilyEncoder(Encoder):
    """Representation `last_hidden`: node features that the heads read, (n_atoms, 256). They turn with the structure.

    The untrained twin is the package's own constructor after torch.manual_seed; it needs no file. Reference energies of
    the elements, and the repulsion of near nuclei, are part of the constructor and so of its energy.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype not in PRECISIONS:
            raise ValueError(f"dtype {dtype!r}: this package computes in {' or '.join(PRECISIONS)}")
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
        network, self.limits = build(model["options"])
        if untrained_seed is None:
            path = self.weights / model["weights"]["files"][0]["path"]
            precision = PRECISIONS[dtype]
            network = pretrained.load_model(
                network, str(path), device, precision=precision, compile=False
            )
        self.precision = getattr(torch, dtype)
        self.network = network.to(device, self.precision).eval().requires_grad_(False)

    def prepare(self, system: System) -> AtomGraphs:
        """Graph of the nearest neighbors; a vacuum closes a structure that is periodic in some directions only.

        Which of several neighbors at one distance fall within the limit is the rounding's choice, so the precision of
        the graph is that of the package's own calculator.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if atoms.pbc.any():
            atoms.center(vacuum=VACUUM, axis=tuple(np.flatnonzero(~atoms.pbc)))
            atoms.pbc = True
            if atoms.cell.rank < 3:
                raise ValueError(
                    f"the structure is periodic, but its cell {atoms.cell.array.tolist()} spans no volume"
                )
        else:
            atoms.cell = None
        atoms.info = {"charge": float(system.charge or 0), "spin": float(system.spin or 1)}
        return ase_atoms_to_atom_graphs(
            atoms,
            self.limits,
            edge_method="knn_scipy",  # on every device the same one
            device=torch.device("cpu"),
            output_dtype=self.precision,
            graph_construction_dtype=self.precision,
        )

    def size(self, item: AtomGraphs) -> int:
        """Atoms."""
        return int(item.n_node.sum())

    @torch.inference_mode()
    def encode(
        self, items: Sequence[AtomGraphs], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """The network with the energy's head alone, and so without the gradients of the conservative models."""
        batch = batch_graphs(list(items)).to(self.device)
        features = self.network.model(batch)["node_features"]
        energies = self.network.heads["energy"].predict(features, batch)
        if self.network.pair_repulsion:
            energies = energies + self.network.pair_repulsion_fn(batch)["energy"]
        rows = torch.split(features.cpu(), [self.size(item) for item in items])
        return {name: [atoms.numpy() for atoms in rows] for name in representations} | {
            ENERGY: energies.tolist()
        }


def build(options: Mapping[str, Any]) -> tuple[torch.nn.Module, SystemConfig]:
    """The network with the constructor's weights, and the limits of its graphs (Å, neighbors of an atom)."""
    limits = SystemConfig(radius=options["radius"], max_num_neighbors=options["neighbours"])
    constructor = getattr(pretrained, options["architecture"])
    return constructor(device="cpu", system_config=limits, **options.get("settings", {})), limits
