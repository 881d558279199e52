"""Every metric of two models as its definition prints it: float64, all pairs of systems.

It is independent of query/: numpy, and SciPy's sparse matrices. Row blocks keep it in memory at n =
10,000; a pair of models takes about five seconds there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

Matrix = NDArray[np.float64]
Value = tuple[str, str | None]  # metric and estimator

TIE = 1e-12  # of the largest value: what differs by less is equal but for rounding
NEAR = 1e-3  # of the sum of two squared lengths: squared distances below it are not of products
BLOCK_BYTES = 2**25
LISTED = ("weights", "kernels", "centered kernels")  # of each row's neighbors
# In place of an estimator: information imbalance from the second model to the first.
REVERSED = "from b"


@dataclass
class Moments:
    """What centering and correlating two n × n matrices takes, added up over row blocks.

    Attributes:
        own: Σ P².
        other: Σ Q².
        cross: Σ P Q.
        rows: The row sums of P, (m,).
        other_rows: Those of Q.
    """

    own: float
    other: float
    cross: float
    rows: Matrix
    other_rows: Matrix


def dense_values(a: Matrix, b: Matrix, k: int) -> dict[Value, float]:
    """Return every metric with every estimator.

    Args:
        a: The normalized vectors of the first model, (n, d_a).
        b: Those of the second, (n, d_b).
        k: The number of neighbors, below n.
    """
    starts = range(0, len(a), max(1, BLOCK_BYTES // (8 * len(a))))
    blocks = [slice(start, min(start + starts.step, len(a))) for start in starts]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda rows: _block(a, b, k, rows), blocks))
    parts = {name: [block[name] for block in found] for name in found[0]}
    hollow, whole = _add(parts["hollow kernels"]), _add(parts["kernels"])
    distances, squares = _add(parts["distances"]), _add(parts["squared distances"])
    weights, kernels, centered = (
        [csr_array(vstack(parts[f"{kind} of {model}"])) for model in "ab"] for kind in LISTED
    )
    return {
        ("cka", "unbiased"): _normalized(hollow, unbiased=True),
        ("cka", "biased"): _normalized(whole, unbiased=False),
        ("distance_correlation", "unbiased"): _normalized(distances, unbiased=True),
        ("distance_correlation", "biased"): _normalized(distances, unbiased=False) ** 0.5,
        ("rsa", "pearson"): _pearson(squares),
        ("mutual_knn", None): _cosine(*weights),
        ("cknna", "unbiased"): _cknna(*zip(weights, kernels, strict=True)),
        ("cknna", "centered"): _cosine(*centered),
        ("information_imbalance", None): 2
        / len(a)
        * float(np.mean(np.concatenate(parts["ranks in b"]))),
        ("information_imbalance", REVERSED): 2
        / len(a)
        * float(np.mean(np.concatenate(parts["ranks in a"]))),
    }


def _block(a: Matrix, b: Matrix, k: int, rows: slice) -> dict[str, Any]:
    kernels, squares = (
        [x[rows] @ x.T for x in (a, b)],
        [_squared_distances(x, rows) for x in (a, b)],
    )
    distances = [np.sqrt(x) for x in squares]
    found: dict[str, Any] = {"kernels": _moments(*kernels), "distances": _moments(*distances)}
    found["squared distances"] = _moments(*squares)
    own = np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)
    means = [kernel.mean(axis=1) for kernel in kernels]
    for kernel in kernels:
        kernel[own] = 0
    found["hollow kernels"] = _moments(*kernels)
    for name, kernel, mean, x in zip("ab", kernels, means, (a, b), strict=True):
        slack = TIE * np.linalg.norm(x[rows], axis=1) * np.linalg.norm(x, axis=1).max()
        kernel[own] = -np.inf
        weights = _chances(kernel, k, slack)
        row, column = weights.coords
        values = kernel[row, column]
        found[f"weights of {name}"] = weights
        found[f"kernels of {name}"] = _with_values(weights, values)
        found[f"centered kernels of {name}"] = _with_values(
            weights, weights.data * (values - mean[row])
        )
    slack = [TIE * x.max(axis=1) for x in distances]
    for x in distances:
        x[own] = np.inf
    near = [_chances(-x, k, s) for x, s in zip(distances, slack, strict=True)]
    found["ranks in b"] = _ranks(distances[1], near[0], slack[1])
    found["ranks in a"] = _ranks(distances[0], near[1], slack[0])
    return found


def _squared_distances(x: Matrix, rows: slice) -> Matrix:
    """Return the squared distances of some rows from all, to about 1e-12 of themselves.

    Inner products lose digits where two vectors are near; these are subtracted from each other.
    """
    x = x - x.mean(axis=0)
    lengths = np.einsum("ij,ij->i", x, x)
    both = lengths[rows, None] + lengths
    squares = x[rows] @ x.T
    squares *= -2
    squares += both
    both *= NEAR
    row, column = _places(squares < both)
    squares[row, column] = ((x[rows][row] - x[column]) ** 2).sum(axis=1)
    return squares


def _places(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `np.nonzero`, which is slow in two dimensions."""
    row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return row, column


def _chances(values: Matrix, k: int, slack: Matrix) -> coo_array:
    """Return the probability that each system has one of the k largest values of its row."""
    limit = np.partition(values, -k, axis=1)[:, -k]
    row, column = _places(values >= (limit - slack)[:, None])
    above = values[row, column] > (limit + slack)[row]
    room = k - np.bincount(row[above], minlength=len(values))
    tied = np.bincount(row[~above], minlength=len(values))
    chance = np.where(above, 1, (room / tied)[row])
    return coo_array((chance, (row, column)), shape=values.shape)


def _with_values(table: coo_array, values: Matrix) -> coo_array:
    return coo_array((values, table.coords), shape=table.shape)


def _ranks(distances: Matrix, near: coo_array, slack: Matrix) -> Matrix:
    """Return the mean rank from 1 of each row's chosen systems by their weights, (rows,).

    It sorts the distances.
    """
    row, column = near.coords
    chosen = distances[row, column]
    distances.sort(axis=1)
    ranks = np.empty(len(row))
    ends = np.cumsum(np.bincount(row, minlength=len(distances)))
    for i, its in enumerate(map(slice, [0, *ends[:-1]], ends)):
        nearer = np.searchsorted(distances[i], chosen[its] - slack[i], "left")
        not_further = np.searchsorted(distances[i], chosen[its] + slack[i], "right")
        ranks[its] = (nearer + 1 + not_further) / 2
    return _with_values(near, near.data * ranks).sum(axis=1) / near.sum(axis=1)


def _moments(p: Matrix, q: Matrix) -> Moments:
    own, other, cross = (float(np.vdot(x, y)) for x, y in ((p, p), (q, q), (p, q)))
    return Moments(own, other, cross, p.sum(axis=1), q.sum(axis=1))


def _add(parts: list[Moments]) -> Moments:
    own, other, cross = (
        sum(getattr(part, name) for part in parts) for name in ("own", "other", "cross")
    )
    rows, other_rows = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "other_rows")
    )
    return Moments(own, other, cross, rows, other_rows)


def _normalized(m: Moments, *, unbiased: bool) -> float:
    """Return ⟨P, Q⟩ / √(⟨P, P⟩⟨Q, Q⟩) of doubly centered matrices.

    With `unbiased` they are U-centered and have zero diagonals.
    """

    def product(cross: float, p: Matrix, q: Matrix) -> float:
        n = len(p)
        total, crossed = float(p.sum() * q.sum()), float(p @ q)
        if unbiased:
            return cross + total / ((n - 1) * (n - 2)) - 2 / (n - 2) * crossed
        return cross + total / n**2 - 2 / n * crossed

    scale = product(m.own, m.rows, m.rows) * product(m.other, m.other_rows, m.other_rows)
    return product(m.cross, m.rows, m.other_rows) / float(np.sqrt(scale))


def _pearson(m: Moments) -> float:
    """Return the correlation of what is beside the diagonals, which are zero."""
    pairs = len(m.rows) * (len(m.rows) - 1)
    p, q = float(m.rows.sum()), float(m.other_rows.sum())
    scale = (m.own - p**2 / pairs) * (m.other - q**2 / pairs)
    return (m.cross - p * q / pairs) / float(np.sqrt(scale))


def _cknna(a: tuple[csr_array, csr_array], b: tuple[csr_array, csr_array]) -> float:
    """Return Huh et al.'s value without their 1e-6, the mean of both orders.

    a, b: the weights of each row's neighbors, and kernels.
    """

    def similarity(a: tuple[csr_array, csr_array], b: tuple[csr_array, csr_array]) -> float:
        both = a[0].multiply(b[0])
        p, q, n = both.multiply(a[1]), both.multiply(b[1]), both.shape[0]
        total = p.sum() * q.sum() / ((n - 1) * (n - 2))
        return float(p.multiply(q.T).sum() + total - 2 / (n - 2) * (p.sum(axis=0) @ q.sum(axis=1)))

    both = (similarity(a, b) + similarity(b, a)) / 2
    return both / float(np.sqrt(similarity(a, a) * similarity(b, b)))


def _cosine(p: csr_array, q: csr_array) -> float:
    return float(p.multiply(q).sum() / np.sqrt(p.multiply(p).sum() * q.multiply(q).sum()))
