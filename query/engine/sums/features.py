"""Sums of products of kernels from products of features, which need no pair of systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from query.engine import threads
from query.engine.sums.found import Arrays, Centered, Matrix, Sums
from query.engine.sums.tiled import CHUNK
from query.engine.tiles import triangle_strips


def features_are_cheaper(models: Sequence[Centered]) -> bool:
    """Return whether products of features cost less than tiles of all pairs of systems.

    Features take n · d_a · d_b per pair of models, tiles n² · d per model and n² per pair.

    Args:
        models: The models.
    """
    n, count = len(models[0].z), len(models)
    width = sum(model.z.shape[1] for model in models)
    return width**2 <= n * (width + count**2)


class FeaturePass:
    """Finds Σ_ij K_ij L_ij = ‖XᵀY‖² for every pair of models; a `query.engine.sums.Pass`.

    A strip here is a share of the models, each with all that come before it.
    """

    def __init__(self, models: Sequence[Centered], device: torch.device, side: int) -> None:
        """Take the models; nothing is multiplied yet.

        Args:
            models: The models over the same n systems.
            device: Where products are computed.
            side: The side of a tile, by which the other pass is cut.
        """
        self._z = [model.z for model in models]
        self._device = device
        self._most = len(self._z[0]) * max(z.shape[1] for z in self._z) ** 2  # products of a pair
        self._strips = len(triangle_strips(len(self._z[0]), side))

    def find(self, number: int) -> Arrays:
        """Return the products of every so many-th model with those before it; see `Pass.find`.

        Args:
            number: The strip.
        """
        return {"kernels": self._products(range(number, len(self._z), self._strips))}

    def run(self, advance: Callable[[int], object]) -> Sums:
        """Return all products; see `Pass.run`.

        Args:
            advance: Called with the number of products that tiles would have taken.
        """
        found = self._products(range(len(self._z)))
        advance(len(self._z) * len(self._z[0]) ** 2)
        return Sums(kernels=found)

    def _products(self, lefts: Sequence[int]) -> Matrix:
        """Return the products of some models with those before them, and 0 elsewhere, (M, M)."""
        found = np.zeros((len(self._z), len(self._z)))
        pairs = [(a, b) for a in lefts for b in range(a + 1)]
        each = map if len(pairs) * self._most < threads.FEW else threads.each
        for (a, b), total in zip(pairs, each(self._product, pairs), strict=True):
            found[a, b] = found[b, a] = total
        return found

    def _product(self, pair: tuple[int, int]) -> float:
        # A library shares a product of long columns among threads, whose number then decides how
        # its sums round.
        x, y = (self._z[model] for model in pair)
        return threads.alone(lambda: _square(x, y, self._device), x.numel() * y.shape[1])


def _square(x: Tensor, y: Tensor, device: torch.device) -> float:
    total = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, device=device)
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        total += x[part].to(device).T @ y[part].to(device)
    return total.square_().sum().item()
