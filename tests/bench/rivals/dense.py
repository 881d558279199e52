"""Published ways that no package offers, restated plainly.

They take one pair at a time, with N × N matrices in memory, in float32.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances
from torch import Tensor


def cknna(a: Tensor, b: Tensor, k: int, epsilon: float = 1e-6) -> float:
    """Return unbiased CKNNA as Huh et al.'s `cknna` takes it (platonic-rep, metrics.py).

    Every mask and kernel is dense. The value depends on the order of a and b in about its sixth
    decimal, because their masks are not symmetric, and lies low by what `epsilon` adds to the
    denominator.

    Args:
        a: Rows of length 1, (n, d_a) float32.
        b: Rows of length 1, (n, d_b) float32.
        k: The number of neighbors.
        epsilon: What is added to the denominator.
    """
    first, second = a @ a.T, b @ b.T
    across = _align(first, second, k)
    return (
        across.item()
        / (torch.sqrt(_align(first, first, k) * _align(second, second, k)) + epsilon).item()
    )


def distance_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return biased distance correlation as ReSi takes it.

    It takes scikit-learn's distances, double centering, and means of products.
    """
    first, second = (_double_centered(pairwise_distances(x, metric="euclidean")) for x in (a, b))
    across, own, other = (
        float(np.mean(x * y)) for x, y in ((first, second), (first, first), (second, second))
    )
    return float(np.sqrt(across / np.sqrt(own * other)))


def _align(first: Tensor, second: Tensor, k: int) -> Tensor:
    """Return unbiased HSIC (Song et al. 2012, equation 5) of two kernels on shared neighbors."""
    shared = _mask(first, k) * _mask(second, k)
    # The diagonal is 0, as no system is its own neighbor.
    first, second = shared * first, shared * second
    n = len(first)
    both_ways = torch.sum(first * second.T)
    total = torch.sum(first) * torch.sum(second) / ((n - 1) * (n - 2))
    crossed = torch.sum(torch.mm(first, second)) / (n - 2)
    return (both_ways + total - 2 * crossed) / (n * (n - 3))


def _mask(kernel: Tensor, k: int) -> Tensor:
    """Return 1 where the column is one of the row's k largest without its own, (n, n) float32."""
    others = kernel.clone().fill_diagonal_(-torch.inf)
    return torch.zeros_like(kernel).scatter_(1, others.topk(k, dim=1).indices, 1.0)


def _double_centered(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    by_row = distances.mean(axis=1, keepdims=True)
    return distances - by_row - distances.mean(axis=0, keepdims=True) + by_row.mean()
