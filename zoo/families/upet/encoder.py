"""PET (Pozdnyakov and Ceriotti 2023), as metatrain builds it.

The network is a transformer over each atom's edges; it is not equivariant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import metatomic.torch as mta
import numpy as np
import torch
from ase import Atoms
from metatrain.pet import PET
from metatrain.utils.io import load_model
from metatrain.utils.neighbor_lists import get_system_with_neighbor_lists

from zoo.encoder import ENERGY, Encoder, System

OUTPUTS = {"last_hidden": "mtt::aux::energy_last_layer_features", "features": "feature"}


class FamilyEncoder(Encoder):
    """A PET network, or its untrained twin.

    All representations are per atom: `last_hidden` is the input of the energy's last linear layer,
    and `features` is what the heads read. Each joins a part of the atom itself with a part of its
    edges, which are summed with the weights of the cutoff. `layer-0` is the embedding of the
    element, `layer-1` and so on are the features of the atom itself after each message passing
    layer, and one more, the head of the energy, is `last_hidden`.

    The untrained twin is the package's own constructor after torch.manual_seed, with the settings
    in the file. Its energy contains no reference energies of the elements.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype {dtype!r}: this package computes in float32 or float64")
        loaded = load_model(self.weights / model["weights"]["files"][0]["path"])
        # Some files wrap the network in an estimate of its uncertainty.
        network = getattr(loaded, "model", loaded)
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
            network = PET(network.hypers, network.dataset_info)
        self.precision = getattr(torch, dtype)
        self.network = network.to(device, self.precision).eval().requires_grad_(False)
        self._rows: list[torch.Tensor] = []  # of the last batch, by layer
        layers = network.backend.gnn_layers
        layers[0].register_forward_pre_hook(self._keep_embedding)
        for layer in layers:
            layer.register_forward_hook(self._keep)

    def _keep_embedding(self, layer: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self._rows = [args[0]]

    def _keep(self, layer: torch.nn.Module, args: Any, output: tuple[torch.Tensor, Any]) -> None:
        self._rows.append(output[0])

    def prepare(self, system: System) -> mta.System:
        """Return the structure with its neighbor list.

        It may be periodic in any number of directions.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        atoms.cell[~atoms.pbc] = 0.0
        if atoms.cell.rank < atoms.pbc.sum():
            cell = atoms.cell.array.tolist()
            raise ValueError(
                f"the structure is periodic along {atoms.pbc.tolist()}, but its cell is {cell}"
            )
        structure = mta.systems_to_torch(atoms, dtype=torch.float64)
        structure = get_system_with_neighbor_lists(
            structure, self.network.requested_neighbor_lists()
        )
        return structure.to(self.precision)

    def size(self, item: mta.System) -> int:
        """Return the number of atoms."""
        return len(item)

    @torch.no_grad()
    def encode(
        self, items: Sequence[mta.System], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Run the network once for the features and the energy.

        Forces are left out, because they would need gradients.
        """
        wanted = {output: mta.ModelOutput(sample_kind="atom") for output in OUTPUTS.values()}
        wanted[ENERGY] = mta.ModelOutput(quantity="energy", unit="eV", sample_kind="system")
        found = self.network([item.to(device=self.device) for item in items], wanted)
        values = {name: output.block().values for name, output in found.items()}
        rows = {name: values[output] for name, output in OUTPUTS.items()}
        layers = [*self._rows, rows["last_hidden"]]
        rows |= {f"layer-{i}": layer for i, layer in enumerate(layers)}
        ends = np.cumsum([self.size(item) for item in items])[:-1]
        vectors: dict[str, list[Any]] = {
            name: np.split(rows[name].cpu().numpy(), ends) for name in representations
        }
        return vectors | {ENERGY: values[ENERGY].ravel().tolist()}
