"""3Di, the structural alphabet of Foldseek (van Kempen et al. 2024), by the package mini3di.

Ten numbers describe the shape of a backbone at a residue and at its nearest neighbor in space. The
encoder of a VQ-VAE makes two numbers of them, and the nearest of 20 centroids is the letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mini3di import Encoder as Package
from mini3di import FeatureEncoder
from mini3di._unkerasify import load

from zoo.encoder import Encoder, NotApplicable, System

WIDTHS = (10, 10, 10, 2)
INVALID = 2  # the letter D, which Foldseek gives to a residue without a shape
SHORTEST = 4  # residues; the ends have no shape, so that two others are left to be neighbors


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
    """The encoder of 3Di, or its untrained twin.

    The representations are `hidden` (10 numbers per residue), `latent` (2) and `letters` (20, of
    which one is 1). `layer-0` and so on are the outputs of the dense layers up to `hidden`.

    The untrained twin draws its layers as PyTorch does, and its centroids from a normal
    distribution.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if untrained_seed is None:
            with (self.weights / model["weights"]["files"][0]["path"]).open("rb") as file:
                layers = load(file)
            self.layers = [(layer.weights, layer.biases) for layer in layers]
            self.centroids = Package._CENTROIDS
        else:
            random = np.random.default_rng(untrained_seed)
            self.layers = [
                (random.uniform(-b, b, (n, m)), random.uniform(-b, b, m))
                for n, m in zip(WIDTHS, WIDTHS[1:], strict=False)
                for b in [n**-0.5]
            ]
            self.centroids = random.normal(size=(20, 2))
        self.features = FeatureEncoder()

    def prepare(self, system: System) -> np.ndarray:
        """Return the ten numbers of each residue, (residues, 10).

        Where two residues are equally near, rounding could choose another neighbor in another
        orientation. So the axes are those of the first residue, and the positions are rounded.

        Raises:
            NotApplicable: There are too few residues.
        """
        if len(system.backbone) < SHORTEST:
            raise NotApplicable(
                f"{len(system.backbone)} residues; a shape needs {SHORTEST} residues at least"
            )
        centered = system.backbone - system.backbone.mean(axis=(0, 1))
        placed = (centered @ frame(system.backbone[0])).astype(np.float32).astype(np.float64)
        n, alpha, c = (placed[:, i] for i in range(3))
        return self.features.encode_atoms(alpha, np.full_like(alpha, np.nan), n, c)

    def size(self, item: np.ndarray) -> int:
        """Return the number of residues."""
        return len(item)

    def encode(
        self, items: Sequence[np.ndarray], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        found = [self._run(item) for item in items]
        return {name: [rows[name] for rows in found] for name in representations}

    def _run(self, item: np.ma.MaskedArray) -> dict[str, np.ndarray]:
        """Return all representations of one protein, (residues, d) each."""
        x, states = item.data.astype(np.float32), []
        for i, (weights, biases) in enumerate(self.layers):
            x = x @ weights + biases
            x = np.maximum(x, 0.0) if i < len(self.layers) - 1 else x
            states.append(x)
        *layers, latent = states
        distances = np.linalg.norm(latent[:, None] - self.centroids, axis=2)
        letters = np.where(item.mask[:, 0], INVALID, distances.argmin(axis=1))
        found = {"hidden": layers[-1], "latent": latent, "letters": np.eye(20)[letters]}
        return found | {f"layer-{i}": rows for i, rows in enumerate(layers)}
