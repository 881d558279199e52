"""How far systems are from a reference, on the scale of the reference's own systems.

By neighbors, the score of a system is the distance to its k-th nearest system of the reference
(Ramaswamy, Rastogi and Shim, SIGMOD 2000; for vectors of networks: Sun, Ming, Zhu and Li, ICML
2022). Each system of the reference has such a distance, too, to the others. The p-value is that of
transductive conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
World, 2005): the share of systems, the new one added to the reference, whose score is at least as
large. For a system drawn as the reference was, p is uniform on 1/(n + 1), …, 1, whatever the
distribution and whatever k: with ties it is larger, never smaller. To add a system changes the
scores of its own k − 1 nearest alone, so that this costs no more than the neighbors.

By Mahalanobis distance (for vectors of networks: Lee, Lee, Lee and Shin, NeurIPS 2018) the score is
the distance from the reference's mean in units of its spread, the covariance being shrunk as by
Ledoit and Wolf (J. Multivar. Anal. 88, 365 (2004)). The reference's own scores leave each system
out of mean and covariance. Its p-value compares with these; it is uniform as n grows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def own_p_values(own: Floats) -> Floats:
    """Return how many systems of a reference are at least as novel as each of its own, as shares.

    Args:
        own: The scores of the reference's systems, each judged by the others, (n,).

    Returns:
        p-values, (n,), from 1/n to 1.
    """
    return _count_at_least(own, own) / own.size


def p_values(scores: Floats, own: Floats, no_longer: NDArray[np.int64] | int = 0) -> Floats:
    """Return how many systems are at least as novel as a new one, itself among them, as shares.

    Args:
        scores: The scores of m systems that are not in the reference, (m,).
        own: The scores of the reference's systems, each judged by the others, (n,).
        no_longer: How many of these are below a new system's score once it is added, (m,).

    Returns:
        p-values, (m,), from 1/(n + 1) to 1.
    """
    found: Floats = (1 + _count_at_least(own, scores) - no_longer) / (own.size + 1)
    return found


def count_joined(distances: Floats, neighbors: NDArray[np.int32], own: Floats) -> NDArray[np.int64]:
    """Count the systems of a reference that are less novel than a new one once it is added.

    Args:
        distances: From each new system to its k nearest of the reference, rising, (m, k).
        neighbors: Which these are, (m, k).
        own: From each system of the reference to its k nearest others, rising, (n, k).

    Returns:
        For each new system how many had a score of at least its own, and have a smaller one once
        it is among their neighbors, (m,).
    """
    last = distances[:, -1:]
    near = neighbors[:, :-1]  # an own k-th distance can only fall to one below that of `last`
    joined = (distances[:, :-1] < last) & (own[near, -1] >= last)
    if own.shape[1] > 1:
        joined &= own[near, -2] < last
    found: NDArray[np.int64] = joined.sum(axis=1)
    return found


def mahalanobis(reference: Floats, others: Floats, least: float = 0.0) -> tuple[Floats, Floats]:
    """Return distances from a reference's mean in units of its spread.

    Args:
        reference: Vectors of the reference, (n, d), n ≥ 3, not all the same.
        others: Vectors of other systems, (m, d).
        least: The least variance of any direction, above 0 where directions may have none.

    Returns:
        The distance of each system of the reference from the mean of the others in units of their
        spread, (n,), and those of the other systems, (m,).
    """
    n = len(reference)
    mean = reference.mean(axis=0)
    centered = reference - mean
    scatter = centered.T @ centered
    kept, added = _shrink(centered, scatter)
    added = max(added, least)
    one_less = n / (n - 1)
    inside = _square_lengths(centered, kept * scatter, (n - 1) * added)
    # To take a system out of mean and scatter is an update of rank one (Sherman and Morrison).
    left_out = (n - 1) * one_less**2 * inside / (1 - kept * one_less * inside)
    outside = n * _square_lengths(others - mean, kept * scatter, n * added)
    return np.sqrt(left_out), np.sqrt(outside)


def _count_at_least(own: Floats, scores: Floats) -> NDArray[np.int64]:
    return own.size - np.searchsorted(np.sort(own), scores, side="left")


def _shrink(centered: Floats, scatter: Floats) -> tuple[float, float]:
    """Return a and b so that a · covariance + b · identity is Ledoit and Wolf's estimate."""
    n, d = centered.shape
    mean_variance = np.trace(scatter) / (n * d)
    squares = np.square(scatter).sum() / n**2
    noise = (np.square(np.square(centered).sum(axis=1)).mean() - squares) / n
    share = min(1.0, noise / max(squares - d * mean_variance**2, noise))
    return 1 - share, share * mean_variance


def _square_lengths(x: Floats, scatter: Floats, added: float) -> Floats:
    """Return x'(scatter + added · 1)⁻¹x of every row x, (m,)."""
    # SciPy takes a while to import, which other questions need not wait for.
    from scipy.linalg import cholesky, solve_triangular

    factor = cholesky(scatter + added * np.eye(len(scatter)), lower=True, overwrite_a=True)
    white = solve_triangular(factor, x.T, lower=True, check_finite=False)
    found: Floats = np.square(white).sum(axis=0)
    return found
