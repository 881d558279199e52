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

    Both representations are per atom: `last_hidden` is the input of the energy's last linear layer,
    and `features` is what the heads read. Each joins a part of the atom itself with a part of its
    edges, which are summed with the weights of the cutoff.

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
        wanted = {OUTPUTS[name]: mta.ModelOutput(sample_kind="atom") for name in representations}
        wanted[ENERGY] = mta.ModelOutput(quantity="energy", unit="eV", sample_kind="system")
        found = self.network([item.to(device=self.device) for item in items], wanted)
        values = {name: output.block().values.cpu().numpy() for name, output in found.items()}
        ends = np.cumsum([self.size(item) for item in items])[:-1]
        vectors = {name: np.split(values[OUTPUTS[name]], ends) for name in representations}
        return vectors | {ENERGY: values[ENERGY].ravel().tolist()}
