"""AIMNet2 (Anstine, Zubatyuk, Isayev 2025): molecules whose atoms exchange features and charges.

The published file is TorchScript, an ensemble of four networks, and computes in float32 only. Its
program and Auto3D's are not imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from zoo.encoder import ENERGY, Encoder, NotApplicable, System

FEATURES = 16  # of an element, each of which begins the same for all 16 radial functions


def curves(points: int, number: int) -> torch.Tensor:
    """Return smooth random curves that are far from each other, (points, number)."""
    phases = 2 * math.pi * torch.arange(points) / points
    a, b, c, d = torch.randn(8 * number, 4, 1).unbind(1)
    drawn = a * torch.sin(b * phases) + c * torch.cos(d * phases)
    drawn = (drawn - drawn.mean(1, keepdim=True)) / drawn.std(1, keepdim=True)
    chosen = [int(torch.cdist(drawn, drawn).sum(1).argmax())]
    while len(chosen) < number:
        chosen.append(int(torch.cdist(drawn[chosen], drawn).amin(0).argmax()))
    return drawn[chosen].T


@torch.no_grad()
def draw(network: torch.jit.ScriptModule, seed: int) -> None:
    """Draw the weights of a network as the constructors of aimnet 0.2.6 do.

    The embedding of the elements is orthogonal, matrices follow the normal law of Glorot and
    Bengio, and biases begin with 0. Radial functions, the parameters of D3 and Coulomb's law, and
    the fitted energies of the atoms stay.
    """
    torch.manual_seed(seed)
    for name, weight in network.named_parameters():
        if name == "afv.weight":
            elements = torch.nn.init.orthogonal_(torch.empty(len(weight) - 1, FEATURES))
            weight[1:] = elements.repeat_interleave(weight.shape[1] // FEATURES, dim=1)
        elif name.endswith("agh"):
            weight.copy_(torch.stack([curves(*combined.shape) for combined in weight]))
        elif "mlp" in name and weight.dim() == 2:
            torch.nn.init.xavier_normal_(weight)
        elif "mlp" in name:
            weight.zero_()


def run(
    network: torch.jit.ScriptModule, data: dict[str, torch.Tensor]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Call the parts of a network as its own `forward` does, which returns the last layer alone.

    Returns:
        The features of atoms before the first round of messages and after each, (systems, atoms,
        256), and the energies in eV, (systems,).
    """
    data = network.aev(network.prepare_data(data))
    layers = [data["a"].flatten(-2)]
    *rounds, last = network.mlps.children()
    given = network._prepare_in_a(data)
    for i, mlp in enumerate(rounds):
        data = network._update_q(data, network._zero_padded(data, mlp(given)), i > 0)
        layers.append(data["a"].flatten(-2))
        given = torch.cat([network._prepare_in_a(data), network._prepare_in_q(data)], -1)
    data["aim"] = network._zero_padded(data, last(given))
    for output in network.outputs.children():
        data = output(data)
    return [*layers, data["aim"]], data["energy"]


class FamilyEncoder(Encoder):
    """One network of AIMNet2's ensemble, or its untrained twin.

    The option `member` says which of the four, from 0. The representation `aim` is what the network
    itself calls so, the input of the energy readout per atom, (n_atoms, 256). `layer-0` is the
    embedding of the elements, `layer-1` and `layer-2` are an atom's features after a round of
    messages, without its partial charge, and `layer-3` is `aim`. All are invariant.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(f"dtype {dtype!r}: the network computes in float32; use DTYPE=float32")
        path = self.weights / model["weights"]["files"][0]["path"]
        ensemble = torch.jit.load(str(path), map_location="cpu")
        network = getattr(ensemble.models, str(model["options"]["member"])).module  # without forces
        if untrained_seed is not None:
            draw(network, untrained_seed)
        self.network = network.to(device).eval()

    def prepare(self, system: System) -> dict[str, torch.Tensor]:
        """Return the positions from the mean of the atoms on, the atomic numbers and the charge.

        Raises:
            NotApplicable: The system is periodic.
        """
        if system.pbc is not None and system.pbc.any():
            raise NotApplicable("the model reads molecules; it knows no periodicity")
        return {
            "coord": torch.tensor(
                system.positions - system.positions.mean(axis=0), dtype=torch.float32
            ),
            "numbers": torch.tensor(system.numbers),
            "charge": torch.tensor(float(system.charge or 0)),
        }

    def size(self, item: dict[str, torch.Tensor]) -> int:
        """Return the number of atoms."""
        return len(item["numbers"])

    @torch.inference_mode()
    def encode(
        self, items: Sequence[dict[str, torch.Tensor]], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Fill molecules up to the largest one with atoms of number 0, which the network masks."""
        data = {
            name: torch.nn.utils.rnn.pad_sequence(
                [item[name] for item in items], batch_first=True
            ).to(self.device)
            for name in ("coord", "numbers")
        }
        data["charge"] = torch.stack([item["charge"] for item in items]).to(self.device)
        with torch.jit.optimized_execution(False):  # else each new shape is compiled first
            layers, energies = run(self.network, data)
        rows = {f"layer-{i}": layer for i, layer in enumerate(layers)} | {"aim": layers[-1]}
        found: dict[str, list[Any]] = {}
        for name in representations:
            padded = rows[name].cpu().numpy()
            found[name] = [padded[i, : self.size(item)] for i, item in enumerate(items)]
        return found | {ENERGY: energies.tolist()}
