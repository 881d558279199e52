"""Published ways that no package offers, restated plainly: one pair at a time, N × N matrices in memory, float32."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances
from torch import Tensor


def cknna(a: Tensor, b: Tensor, k: int, epsilon: float = 1e-6) -> float:
    """Unbiased CKNNA as Huh et al.'s `cknna` takes it (platonic-rep, metrics.py): every mask and kernel is dense.

    a: (n, d_a), b: (n, d_b) float32, rows of length 1. The value depends on the order of a and b in its sixth decimal
    or so, because their masks are not symmetric, and lies low by what `epsilon` adds to the denominator.
    """
    first, second = a @ a.T, b @ b.T
    across = _align(first, second, k)
    return (
        across.item()
        / (torch.sqrt(_align(first, first, k) * _align(second, second, k)) + epsilon).item()
    )


def distance_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Biased distance correlation as ReSi takes it: scikit-learn's distances, double centering, means of products."""
    first, second = (_double_centered(pairwise_distances(x, metric="euclidean")) for x in (a, b))
    across, own, other = (
        float(np.mean(x * y)) for x, y in ((first, second), (first, first), (second, second))
    )
    return float(np.sqrt(across / np.sqrt(own * other)))


def _align(first: Tensor, second: Tensor, k: int) -> Tensor:
    """Unbiased HSIC (Song et al. 2012, equation 5) of two kernels on the edges that are among both's k nearest."""
    shared = _mask(first, k) * _mask(second, k)
    first, second = (
        shared * first,
        shared * second,
    )  # the diagonal is 0, as no system is its own neighbor
    n = len(first)
    both_ways = torch.sum(first * second.T)
    total = torch.sum(first) * torch.sum(second) / ((n - 1) * (n - 2))
    crossed = torch.sum(torch.mm(first, second)) / (n - 2)
    return (both_ways + total - 2 * crossed) / (n * (n - 3))


def _mask(kernel: Tensor, k: int) -> Tensor:
    """(n, n) float32: 1 where the column is one of the row's k largest, its own left out."""
    others = kernel.clone().fill_diagonal_(-torch.inf)
    return torch.zeros_like(kernel).scatter_(1, others.topk(k, dim=1).indices, 1.0)


def _double_centered(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    by_row = distances.mean(axis=1, keepdims=True)
    return distances - by_row - distances.mean(axis=0, keepdims=True) + by_row.mean()
