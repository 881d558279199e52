"""CHGNet (Deng et al. 2023): crystal graphs with bonds and angles; float32 only.

Three outputs of the package do not fit our purpose: `crystal_fea` is a sum over atoms, `atom_fea`
is taken one layer too early, and a batch without any angle skips layers that a batch with an angle
runs through (see `FamilyEncoder.encode`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from ase import Atoms
from chgnet.graph import CrystalGraph
from chgnet.model import CHGNet
from pymatgen.core import Structure

from zoo.encoder import ENERGY, Encoder, System

# Å on each side where a direction is not periodic: images are then beyond every cutoff, 5 or 6 Å
VACUUM = 10.0


class FamilyEncoder(Encoder):
    """CHGNet with the weights of the package, or its untrained twin.

    The representation `last_hidden` is the input of the energy readout per atom, (n_atoms, 64).
    `layer-0` is the embedding of the elements, `layer-1` and so on are the atom features after each
    atom convolution, and the last of them is `last_hidden`. All are invariant.

    The untrained twin is built by the package's constructor from the checkpoint's own arguments,
    after torch.manual_seed. The constructor draws every embedding, linear and normalization layer.
    The composition model stays as it is: it holds fitted reference energies, which are added after
    the representation is read and are part of the twin's energy. The radial and angular frequencies
    start at integer multiples, as they do in training.
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
        # The default refuses single atoms.
        network.graph_converter.set_isolated_atom_response("ignore")
        self.network = network.to(device).eval().requires_grad_(False)
        self._rows: dict[str, torch.Tensor] = {}  # of the last batch, by representation
        depth = len(network.atom_conv_layers)
        inner = [network.atom_embedding, *network.atom_conv_layers[:-1]]
        for number, layer in enumerate(inner):
            layer.register_forward_hook(partial(self._keep, f"layer-{number}"))
        network.mlp.register_forward_pre_hook(partial(self._keep_last, f"layer-{depth}"))

    def _keep(self, name: str, layer: torch.nn.Module, args: Any, rows: torch.Tensor) -> None:
        self._rows[name] = rows

    def _keep_last(self, name: str, readout: torch.nn.Module, args: tuple[torch.Tensor]) -> None:
        self._rows["last_hidden"] = self._rows[name] = args[0]

    def prepare(self, system: System) -> CrystalGraph:
        """Return the graph of the structure.

        Directions that are not periodic get a vacuum of 10 Å on each side.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        open_axes = tuple(np.flatnonzero(~atoms.pbc))
        if open_axes:
            atoms.center(vacuum=VACUUM, axis=open_axes)
        if atoms.cell.rank < 3:
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        structure = Structure(
            atoms.cell.array, atoms.numbers, atoms.positions, coords_are_cartesian=True
        )
        return self.network.graph_converter(structure)

    def size(self, item: CrystalGraph) -> int:
        """Return the number of atoms."""
        return len(item.atomic_number)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[CrystalGraph], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Return the vectors and energies, computing graphs without angles apart from the others.

        The package runs its bond convolutions only if some graph of the batch has an angle. Where
        those convolutions have a bias (0.2.0), one such neighbor in the batch would change the
        vector of a graph that has no angle.
        """
        vectors = {name: [np.empty(0)] * len(items) for name in representations}
        energies = [0.0] * len(items)
        for has_angles in (True, False):
            chosen = [i for i, item in enumerate(items) if (len(item.bond_graph) > 0) == has_angles]
            if chosen:
                predicted = self.network([items[i].to(self.device) for i in chosen], task="e")[
                    "e"
                ].tolist()
                sizes = [self.size(items[i]) for i in chosen]
                for name in representations:
                    rows = torch.split(self._rows[name].cpu(), sizes)
                    for i, atoms in zip(chosen, rows, strict=True):
                        vectors[name][i] = atoms.numpy()
                for i, size, energy in zip(chosen, sizes, predicted, strict=True):
                    energies[i] = energy * (size if self.network.is_intensive else 1)
        return {**vectors, ENERGY: energies}
