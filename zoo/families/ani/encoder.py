"""ANI (Smith et al. 2018 and 2019): a small network per element reads what is around an atom.

torchani computes the symmetry functions around each atom, in float32, and reads the networks of
NeuroChem. It is asked about molecules only, as the networks were trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torchani import AEVComputer, ANIModel
from torchani.neurochem import load_model

from zoo.encoder import ENERGY, SYMBOLS, Encoder, NotApplicable, System

HARTREE = 27.211386245988  # eV, CODATA 2018
PADDING = -1  # is torchani's species of what is no atom
# The symmetry functions of all models here: cutoffs and centers in Å, widths in 1/Å², angles.
RADIAL = {"Rcr": 5.2, "EtaR": torch.tensor([16.0]), "ShfR": 0.9 + 0.26875 * torch.arange(16)}
ANGULAR = {
    "Rca": 3.5,
    "EtaA": torch.tensor([8.0]),
    "Zeta": torch.tensor([32.0]),
    "ShfA": 0.9 + 0.65 * torch.arange(4),
    "ShfZ": math.pi / 16 + math.pi / 8 * torch.arange(8),
}


def read_networks(path: Path, symbols: Sequence[str]) -> ANIModel:
    """Return the networks of the elements, of four linear layers each.

    Args:
        path: Auto3D's file of all weights, or one file of NeuroChem's folder.
        symbols: The elements, in the order of the networks.
    """
    if path.suffix != ".pt":
        return load_model(symbols, str(path.parent))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    networks = []
    for i in range(len(symbols)):
        layers: list[torch.nn.Module] = []
        for layer in (0, 2, 4, 6):
            outputs, inputs = stored[f"{i}.{layer}.weight"].shape
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.CELU(0.1)]
        networks.append(torch.nn.Sequential(*layers[:-1]))
    model = ANIModel(networks)
    model.load_state_dict(stored)
    return model


class FamilyEncoder(Encoder):
    """One network per element, or its untrained twin.

    The representation `last_hidden` holds per atom the last hidden layer of its element's network,
    in the columns of that element, and 0 in those of the others, (n_atoms, d). So one linear map,
    the same for all atoms, gives the energy. `layer-0` and so on are the hidden layers, in columns
    per element, too, the last of which is `last_hidden`. All are invariant.

    The card's option `symbols` lists the elements in the order of the networks, `self_energies`
    what each atom adds, in Hartree. The untrained twin draws all linear layers as PyTorch does.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(f"dtype {dtype!r}: the weights are float32; use DTYPE=float32")
        symbols = model["options"]["symbols"]
        path = self.weights / model["weights"]["files"][0]["path"]
        networks = read_networks(path, symbols)
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
            for module in networks.modules():
                if isinstance(module, torch.nn.Linear):
                    module.reset_parameters()
        self.networks = networks.to(device).eval().requires_grad_(False)
        self.functions = AEVComputer(**RADIAL, **ANGULAR, num_species=len(symbols)).to(device)
        self.species = {SYMBOLS.index(symbol) + 1: i for i, symbol in enumerate(symbols)}

    def prepare(self, system: System) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the place of each atom's element among the networks, and the positions.

        The origin is the mean of the positions.

        Raises:
            NotApplicable: The system is periodic.
        """
        if system.pbc is not None and system.pbc.any():
            raise NotApplicable("the model reads molecules; it knows no periodicity")
        species = torch.tensor([self.species[number] for number in system.numbers.tolist()])
        centered = system.positions - system.positions.mean(axis=0)
        return species, torch.tensor(centered, dtype=torch.float32)

    def size(self, item: tuple[torch.Tensor, torch.Tensor]) -> int:
        """Return the number of atoms."""
        return len(item[0])

    @torch.inference_mode()
    def encode(
        self, items: Sequence[tuple[torch.Tensor, torch.Tensor]], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        pad = torch.nn.utils.rnn.pad_sequence
        species = pad([item[0] for item in items], True, PADDING).to(self.device)
        positions = pad([item[1] for item in items], True).to(self.device)
        around = self.functions((species, positions)).aevs
        layers, energies = self._run(species.flatten(), around.flatten(0, 1))
        rows = {f"layer-{i}": layer for i, layer in enumerate(layers)} | {"last_hidden": layers[-1]}
        found: dict[str, list[Any]] = {}
        for name in representations:
            padded = rows[name].unflatten(0, species.shape).cpu().numpy()
            found[name] = [padded[i, : self.size(item)] for i, item in enumerate(items)]
        totals = energies.unflatten(0, species.shape).sum(dim=1) * HARTREE
        return found | {ENERGY: totals.tolist()}

    def _run(
        self, species: torch.Tensor, around: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return each layer's rows of atoms, (n_atoms, d), and energies in Hartree, (n_atoms,)."""
        networks = list(self.networks.values())
        layers: list[torch.Tensor] = []
        energies = torch.zeros(len(species), dtype=torch.float64, device=species.device)
        atoms = [(species == i).nonzero().flatten() for i in range(len(networks))]
        hidden = [around[chosen] for chosen in atoms]
        for start in range(0, len(networks[0]) - 1, 2):  # a linear layer and what follows it
            hidden = [
                network[start : start + 2](h) for network, h in zip(networks, hidden, strict=True)
            ]
            widths = [h.shape[1] for h in hidden]
            layers.append(around.new_zeros(len(species), sum(widths)))
            columns = torch.arange(sum(widths), device=species.device).split(widths)
            for chosen, own, h in zip(atoms, columns, hidden, strict=True):
                layers[-1][chosen[:, None], own] = h
        for i, (chosen, h) in enumerate(zip(atoms, hidden, strict=True)):
            own_energy = self.model["options"]["self_energies"][i]
            energies[chosen] = networks[i][-1](h)[:, 0].double() + own_energy
        return layers, energies
