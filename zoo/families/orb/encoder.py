"""Orb (Neumann et al. 2024; Rhodes et al. 2025): attention message passing over atoms.

The networks have no built-in symmetry.
"""

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

# 'float32-high', the package's default, is TF32.
PRECISIONS = {
    "float32": "float32-highest",
    "float64": "float64",
}
# Å on each side where some directions, but not all, are periodic: images are beyond the cutoff
VACUUM = 10.0


class FamilyEncoder(Encoder):
    """An Orb network, or its untrained twin.

    The representation `last_hidden` holds the node features that the heads read, (n_atoms, 256).
    `layer-0` is the encoding of the atoms before any message, and `layer-1` and so on what each
    message passing layer makes of it, the last of which is `last_hidden`. From the first message on
    they change when the structure is rotated.

    The untrained twin is the package's own constructor after torch.manual_seed; it needs no file.
    The reference energies of the elements and the repulsion of near nuclei are part of the
    constructor, and therefore of the twin's energy.
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
        self._rows: list[torch.Tensor] = []  # of the last batch, by layer
        for layer in (network.model._encoder, *network.model.gnn_stacks):
            layer.register_forward_hook(self._keep)

    def _keep(self, layer: torch.nn.Module, args: Any, output: tuple[torch.Tensor, Any]) -> None:
        self._rows.append(output[0])

    def prepare(self, system: System) -> AtomGraphs:
        """Return the graph of the nearest neighbors.

        A structure that is periodic in some directions gets a vacuum in the others. Where several
        neighbors are equally far, rounding decides which of them fall within the limit, so the
        graph is built in the precision of the package's own calculator.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if atoms.pbc.any():
            atoms.center(vacuum=VACUUM, axis=tuple(np.flatnonzero(~atoms.pbc)))
            atoms.pbc = True
            if atoms.cell.rank < 3:
                raise ValueError(
                    "the structure is periodic, but its cell "
                    f"{atoms.cell.array.tolist()} spans no volume"
                )
        else:
            atoms.cell = None
        atoms.info = {"charge": float(system.charge or 0), "spin": float(system.spin or 1)}
        return ase_atoms_to_atom_graphs(
            atoms,
            self.limits,
            edge_method="knn_scipy",  # the same on every device
            device=torch.device("cpu"),
            output_dtype=self.precision,
            graph_construction_dtype=self.precision,
        )

    def size(self, item: AtomGraphs) -> int:
        """Return the number of atoms."""
        return int(item.n_node.sum())

    @torch.inference_mode()
    def encode(
        self, items: Sequence[AtomGraphs], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Run the network with the head of the energy alone.

        Without the other heads, the conservative models need no gradients.
        """
        batch = batch_graphs(list(items)).to(self.device)
        self._rows.clear()
        features = self.network.model(batch)["node_features"]
        energies = self.network.heads["energy"].predict(features, batch)
        if self.network.pair_repulsion:
            energies = energies + self.network.pair_repulsion_fn(batch)["energy"]
        rows = {f"layer-{i}": layer for i, layer in enumerate(self._rows)}
        rows["last_hidden"] = features
        sizes = [self.size(item) for item in items]
        found: dict[str, list[Any]] = {ENERGY: energies.tolist()}
        for name in representations:
            found[name] = [atoms.numpy() for atoms in torch.split(rows[name].cpu(), sizes)]
        return found


def build(options: Mapping[str, Any]) -> tuple[torch.nn.Module, SystemConfig]:
    """Return the network with the constructor's weights, and the limits of its graphs.

    The limits are a radius in Å and a number of neighbors per atom.
    """
    limits = SystemConfig(radius=options["radius"], max_num_neighbors=options["neighbours"])
    constructor = getattr(pretrained, options["architecture"])
    return constructor(device="cpu", system_config=limits, **options.get("settings", {})), limits
