"""CHGNet (Deng et al. 2023): crystal graphs with bonds and angles; float32 only.

Three things that the package's own outputs get wrong for our purpose: `crystal_fea` is a sum over atoms, `atom_fea` is
one layer early, and a batch without a single angle skips layers that a batch with one runs through (see `encode`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from chgnet.graph import CrystalGraph
from chgnet.model import CHGNet
from pymatgen.core import Structure

from zoo.encoder import ENERGY, Encoder, System

VACUUM = 10.0  # Å on each side, in directions that are not periodic: images are then beyond every cutoff (5 or 6 Å)


class FamilyEncoder(Encoder):
    """Representation `last_hidden`: per-atom input of the energy readout, (n_atoms, 64), invariant.

    The untrained twin is built by the package's constructor from the checkpoint's own arguments, after
    torch.manual_seed: every embedding, linear and normalization layer is the constructor's draw. What stays: the
    composition model (fitted reference energies: they enter after the representation is read, and are part of its
    energy), and the radial and
    angular frequencies start, as in training, at integer multiples.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: this package builds its graphs in float32; use DTYPE=float32"
            )
        checkpoint = self.weights / model["weights"]["files"][0]["path"]
        network = CHGNet.from_file(str(checkpoint), mlp_out_bias=model["options"]["mlp_out_bias"])
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
            network = CHGNet(**network.model_args)
        network.graph_converter.set_isolated_atom_response(
            "ignore"
        )  # its default refuses single atoms
        network.mlp.register_forward_pre_hook(self._keep)
        self.network = network.to(device).eval().requires_grad_(False)
        self._rows = torch.empty(0)

    def _keep(self, module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self._rows = args[0]

    def prepare(self, system: System) -> CrystalGraph:
        """Graph of the structure; a vacuum of 10 Å on each side is added in directions that are not periodic."""
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        open_axes = tuple(np.flatnonzero(~atoms.pbc))
        if open_axes:
            atoms.center(vacuum=VACUUM, axis=open_axes)
        if atoms.cell.rank < 3:
            raise ValueError(
                f"the structure is periodic, but its cell {atoms.cell.array.tolist()} spans no volume"
            )
        structure = Structure(
            atoms.cell.array, atoms.numbers, atoms.positions, coords_are_cartesian=True
        )
        return self.network.graph_converter(structure)

    def size(self, item: CrystalGraph) -> int:
        """Atoms."""
        return len(item.atomic_number)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[CrystalGraph], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Graphs without angles go through on their own.

        The package runs its bond convolutions only if some graph of the batch has an angle; where those have a bias
        (0.2.0), one such neighbor would change the vector of a graph that has none.
        """
        vectors: list[np.ndarray] = [np.empty(0)] * len(items)
        energies = [0.0] * len(items)
        for has_angles in (True, False):
            chosen = [i for i, item in enumerate(items) if (len(item.bond_graph) > 0) == has_angles]
            if chosen:
                predicted = self.network([items[i].to(self.device) for i in chosen], task="e")[
                    "e"
                ].tolist()
                rows = torch.split(self._rows, [self.size(items[i]) for i in chosen])
                for i, atoms, energy in zip(chosen, rows, predicted, strict=True):
                    vectors[i] = atoms.cpu().numpy()
                    energies[i] = energy * (len(atoms) if self.network.is_intensive else 1)
        return {name: vectors for name in representations} | {ENERGY: energies}
