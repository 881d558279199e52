"""Every metric of two models as its definition prints it: float64, all pairs of systems, nothing clever.

Independent of query/: numpy, and SciPy's `cdist` and sparse matrices. Row blocks keep it in memory at n = 10,000; a
pair of models takes about ten seconds there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.spatial.distance import cdist

Matrix = NDArray[np.float64]
Value = tuple[str, str | None]  # metric and estimator

TIE = 1e-12  # of the largest value: what differs by less is equal but for rounding
BLOCK_BYTES = 2**25
REVERSED = "from b"  # in place of an estimator: information imbalance from the second model to the first


@dataclass
class Moments:
    """Of two n × n matrices, added up over row blocks, what centring and correlating them takes."""

    own: float  # Σ P²
    other: float  # Σ Q²
    cross: float  # Σ P Q
    rows: Matrix  # (m,) row sums of P
    other_rows: Matrix


def dense_values(a: Matrix, b: Matrix, k: int) -> dict[Value, float]:
    """Every metric with every estimator. a: (n, d_a), b: (n, d_b), normalised. k: neighbours, < n."""
    starts = range(0, len(a), max(1, BLOCK_BYTES // (8 * len(a))))
    blocks = [slice(start, min(start + starts.step, len(a))) for start in starts]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda rows: _block(a, b, k, rows), blocks))
    parts = {name: [block[name] for block in found] for name in found[0]}
    hollow, whole = _add(parts["hollow kernels"]), _add(parts["kernels"])
    distances, squares = _add(parts["distances"]), _add(parts["squared distances"])
    lists = [vstack(parts[name]) for name in ("neighbours of a", "neighbours of b")]
    means = whole.rows / len(a), whole.other_rows / len(a)
    return {
        ("cka", "unbiased"): _normalised(hollow, unbiased=True),
        ("cka", "biased"): _normalised(whole, unbiased=False),
        ("distance_correlation", "unbiased"): _normalised(distances, unbiased=True),
        ("distance_correlation", "biased"): _normalised(distances, unbiased=False) ** 0.5,
        ("rsa", "pearson"): _pearson(squares),
        ("mutual_knn", None): float((lists[0] != 0).multiply(lists[1] != 0).sum()) / (len(a) * k),
        ("cknna", "unbiased"): _cknna(*lists),
        ("cknna", "centered"): _centered_cknna(*lists, *means),
        ("information_imbalance", None): 2 / len(a) * float(np.mean(np.concatenate(parts["ranks in b"]))),
        ("information_imbalance", REVERSED): 2 / len(a) * float(np.mean(np.concatenate(parts["ranks in a"]))),
    }


def _block(a: Matrix, b: Matrix, k: int, rows: slice) -> dict[str, Any]:
    kernels, distances = [x[rows] @ x.T for x in (a, b)], [cdist(x[rows], x) for x in (a, b)]
    found: dict[str, Any] = {"kernels": _moments(*kernels), "distances": _moments(*distances)}
    found["squared distances"] = _moments(*(x**2 for x in distances))
    own = np.arange(rows.start, rows.stop)
    for kernel in kernels:
        kernel[np.arange(len(own)), own] = 0
    found["hollow kernels"] = _moments(*kernels)
    for name, kernel, x in zip("ab", kernels, (a, b), strict=True):
        slack = TIE * np.linalg.norm(x[rows], axis=1) * np.linalg.norm(x, axis=1).max()
        found[f"neighbours of {name}"] = csr_array(np.where(_largest(kernel, k, slack, own), kernel, 0))
    slack = [TIE * x.max(axis=1) for x in distances]
    for x in distances:
        x[np.arange(len(own)), own] = np.inf
    near = [_largest(-x, k, s, own) for x, s in zip(distances, slack, strict=True)]
    found["ranks in b"] = _ranks(distances[1], near[0], slack[1])
    found["ranks in a"] = _ranks(distances[0], near[1], slack[0])
    return found


def _largest(values: Matrix, k: int, slack: Matrix, own: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which k other systems have the largest values in each row; of those that tie with the k-th the first."""
    values = values.copy()
    values[np.arange(len(own)), own] = -np.inf
    limit = np.partition(values, -k, axis=1)[:, -k]
    above = values > (limit + slack)[:, None]
    tied = (values >= (limit - slack)[:, None]) & ~above
    room = k - above.sum(axis=1)
    crowded = tied.sum(axis=1) > room
    tied[crowded] &= np.cumsum(tied[crowded], axis=1) <= room[crowded, None]
    return above | tied


def _ranks(distances: Matrix, near: NDArray[np.bool_], slack: Matrix) -> Matrix:
    """The mean rank from 1 of each row's chosen systems, ties sharing theirs; (rows, k)."""
    chosen = near.nonzero()[1].reshape(len(near), -1)
    ranks = np.empty(chosen.shape)
    for place, column in enumerate(chosen.T):
        distance = np.take_along_axis(distances, column[:, None], axis=1)
        nearer = np.count_nonzero(distances < distance - slack[:, None], axis=1)
        not_further = np.count_nonzero(distances <= distance + slack[:, None], axis=1)
        ranks[:, place] = (nearer + 1 + not_further) / 2
    return ranks


def _moments(p: Matrix, q: Matrix) -> Moments:
    own, other, cross = (float(np.einsum("ij,ij->", x, y)) for x, y in ((p, p), (q, q), (p, q)))
    return Moments(own, other, cross, p.sum(axis=1), q.sum(axis=1))


def _add(parts: list[Moments]) -> Moments:
    own, other, cross = (sum(getattr(part, name) for part in parts) for name in ("own", "other", "cross"))
    rows, other_rows = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "other_rows"))
    return Moments(own, other, cross, rows, other_rows)


def _normalised(m: Moments, *, unbiased: bool) -> float:
    """⟨P, Q⟩ / √(⟨P, P⟩⟨Q, Q⟩) of doubly centred matrices, or U-centred ones (those with zero diagonals)."""

    def product(cross: float, p: Matrix, q: Matrix) -> float:
        n = len(p)
        total, crossed = float(p.sum() * q.sum()), float(p @ q)
        if unbiased:
            return cross + total / ((n - 1) * (n - 2)) - 2 / (n - 2) * crossed
        return cross + total / n**2 - 2 / n * crossed

    scale = product(m.own, m.rows, m.rows) * product(m.other, m.other_rows, m.other_rows)
    return product(m.cross, m.rows, m.other_rows) / float(np.sqrt(scale))


def _pearson(m: Moments) -> float:
    """The correlation of what lies beside the diagonals, which are zero."""
    pairs = len(m.rows) * (len(m.rows) - 1)
    p, q = float(m.rows.sum()), float(m.other_rows.sum())
    scale = (m.own - p**2 / pairs) * (m.other - q**2 / pairs)
    return (m.cross - p * q / pairs) / float(np.sqrt(scale))


def _cknna(kernel: csr_array, other: csr_array) -> float:
    """Huh et al.'s code without its 1e-6, mean of both orders; the kernels hold each row's neighbours alone."""

    def similarity(p: csr_array, q: csr_array) -> float:
        p, q, n = p.multiply(q != 0), q.multiply(p != 0), p.shape[0]
        total = p.sum() * q.sum() / ((n - 1) * (n - 2))
        return float(p.multiply(q.T).sum() + total - 2 / (n - 2) * (p.sum(axis=0) @ q.sum(axis=1)))

    both = (similarity(kernel, other) + similarity(other, kernel)) / 2
    return both / float(np.sqrt(similarity(kernel, kernel) * similarity(other, other)))


def _centered_cknna(kernel: csr_array, other: csr_array, mean: Matrix, other_mean: Matrix) -> float:
    """Edamadaka et al. 2025, equations A3 to A8."""

    def centred(x: csr_array, row_mean: Matrix) -> csr_array:
        x = x.tocoo()
        return csr_array((x.data - row_mean[x.row], (x.row, x.col)), shape=x.shape)

    p, q = centred(kernel, mean), centred(other, other_mean)
    return float(p.multiply(q).sum() / np.sqrt(p.multiply(p).sum() * q.multiply(q).sum()))
