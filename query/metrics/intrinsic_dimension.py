"""Intrinsic dimension: how many coordinates the systems need, seen from distances of close ones.

'mle' (default, k = 50 as in Edamadaka et al. 2025): Levina and Bickel, NIPS 2004. Around system i
    the dimension is the inverse of m_i = Σ_{j<k} ln(T_k / T_j) / (k − 1), where T_j is the distance
    to its j-th neighbor. The inverses are averaged over the systems, not the dimensions, as MacKay
    and Ghahramani (2005) showed to be right: 1 / mean(m_i).
'twonn': Facco, d'Errico, Rodriguez, Laio, Sci. Rep. 7, 12140 (2017). The ratios μ = T_2 / T_1
    follow 1 − μ^(−d); d is the slope of −ln(1 − F(μ)) over ln μ, fitted through the origin without
    the largest tenth of the ratios, as in DADApy and scikit-dimension. k plays no part.

Range: above 0. Distances are Euclidean, in float64, recomputed from coordinates for the neighbors
    chosen, so that close systems keep their digits.
Invariant to: rotations, reflections, shifts, scale, the order of the systems. The normalization is
    'none' by default, unlike in the alignment metrics: projecting on a sphere takes one dimension
    away.
Bias: 'mle' falls below the truth if few systems fill many dimensions (4.2 for 1,000 points of a
    5-cube at k = 50).
Duplicates: systems with the same vector count once, as a zero distance has no logarithm. Vectors
    that differ by no more than the precision in which they were given are the same (see
    `query/engine/resolution.py`), so that last bits are not taken for structure.
Undefined: fewer than k + 1 ('mle') or 4 ('twonn') different vectors; all neighbors equally far
    (one-hot vectors).
Tested against: scikit-dimension's MLE and TwoNN, and hypercubes of known dimension.

From some rows: systems are drawn among those with different vectors. 'mle' is the inverse of their
mean; 'twonn' takes their ratios for all, and its error follows from the influence of each on the
two sums over ordered ratios (Serfling, Approximation Theorems of Mathematical Statistics, 1980,
section 8.1).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.neighbors.nearest import Neighbors, nearest
from query.engine.normalization import near_one
from query.engine.tiles import tile_dtype
from query.engine.undefined import Undefined
from query.metrics.measure import bare_measure
from query.metrics.shared.estimates import Estimate, RowMeasure
from query.statistics.interval import reach

ALIKE = 1e-12  # logarithms of distances that differ by less are equal
KEPT = 0.9  # of the ratios in 'twonn'; Facco et al. discard the largest tenth


class _IntrinsicDimension(RowMeasure):
    """See the module."""

    name: ClassVar[str] = "intrinsic_dimension"
    about: ClassVar[str] = "how many coordinates they need, seen from close ones"
    methods: ClassVar[tuple[str, ...]] = ("mle", "twonn")
    k: ClassVar[int] = 50
    least_k: ClassVar[int] = 2

    def value(self, x: Tensor, method: str, k: int | None, name: str) -> float:
        different = torch.unique(x + 0.0, dim=0)  # + 0.0: -0.0 and 0.0 are the same
        logs = _log_distances(different, None, method, k, name)
        return _mle(logs) if method == "mle" else _twonn(logs, name)

    def estimate(
        self, different: Tensor, rows: NDArray[np.int64], method: str, k: int | None, name: str
    ) -> Estimate:
        logs = _log_distances(different, rows, method, k, name)
        if method == "mle":
            value = _mle(logs)
            return Estimate(value, -(value**2) * _inverses(logs).numpy())
        value = _twonn(logs, name)
        return Estimate(value, _influence(logs, value))

    def on_subsets(
        self, x: Tensor, subsets: NDArray[np.int64], method: str, k: int | None
    ) -> NDArray[np.float64]:
        found = np.full(len(subsets), np.nan)
        if subsets.shape[1] < _least(k):
            return found
        for s, logs in enumerate(_logs_of_subsets(x, subsets, k or 2)):
            with contextlib.suppress(Undefined):
                _require_spread(logs, "a subsample")
                found[s] = _mle(logs) if method == "mle" else _twonn(logs, "a subsample")
        return found

    def choose_k(self, method: str, k: int | None) -> int | None:
        if method == "twonn":
            return None
        if k is not None and k < self.least_k:
            raise ValueError(f"k = {k}, expected at least {self.least_k} neighbors")
        return self.k if k is None else k


MEASURE = _IntrinsicDimension()


def intrinsic_dimension(
    x: ArrayLike | Tensor,
    method: str = "mle",
    *,
    k: int = 50,
    normalize: str = "none",
    name: str = "a",
) -> float:
    """Return the intrinsic dimension of one model's vectors.

    See the module.

    Args:
        x: The vectors, (n, d).
        method: 'mle' or 'twonn'.
        k: The number of neighbors, 2 or more; 'twonn' has none.
        normalize: 'l2', 'max', 'zscore' or 'none'.
        name: How reasons call the model.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_measure(x, MEASURE, method=method, k=k, normalization=normalize, name=name)


def _log_distances(
    different: Tensor, rows: NDArray[np.int64] | None, method: str, k: int | None, name: str
) -> Tensor:
    """Return the logarithms of the distances to k or two neighbors, ascending, or refuse them."""
    least = _least(k)
    if len(different) < least:
        needs = f"{method} needs" if k is None else f"k = {k} needs"
        raise Undefined(
            f"{name} has {len(different)} different vectors, but {needs} at least {least}"
        )
    logs = neighbor_distances(different, k or 2, rows).log()
    _require_spread(logs, name)
    return logs


def _least(k: int | None) -> int:
    """Return how many different vectors are needed."""
    return 4 if k is None else k + 1


def _require_spread(logs: Tensor, name: str) -> None:
    """Refuse distances that tell nothing, by their logarithms, (n, k)."""
    if not torch.isfinite(logs).all():
        raise Undefined(
            f"two different vectors of {name} are too close for float64 "
            "to tell their distance from 0"
        )
    if (logs[:, -1] - logs[:, 0]).amax() < ALIKE:
        raise Undefined(f"all neighbors of a system are equally far in {name}")


def _logs_of_subsets(x: Tensor, subsets: NDArray[np.int64], k: int) -> Iterator[Tensor]:
    """Yield the logarithms of the distances to the k nearest within each subset, (m, k), ascending.

    Neighbors are found once among all systems. Those within a subset are the first that are in it;
    a row that has too few of them looks for its own.
    """
    n, size = len(x), subsets.shape[1]
    lists = _neighbors(x, min(n - 1, reach(k, size / n)))
    logs = torch.from_numpy(lists.value).sqrt().log().numpy()
    for rows in subsets:
        inside = np.zeros(n, dtype=bool)
        inside[rows] = True
        here = inside[lists.index[rows]]
        place = here.cumsum(axis=1)
        few = np.flatnonzero(place[:, -1] < k)
        here &= place <= k
        here[few] = np.arange(here.shape[1]) < k  # whatever is there is overwritten
        found = torch.from_numpy(logs[rows][here].reshape(size, k))
        if few.size:
            found[torch.from_numpy(few)] = neighbor_distances(
                x[torch.from_numpy(rows)], k, few
            ).log()
        yield found


def _inverses(logs: Tensor) -> Tensor:
    """Return the inverse of the dimension around each system, (n,)."""
    inverse: Tensor = (logs[:, -1:] - logs[:, :-1]).sum(dim=1) / (logs.shape[1] - 1)
    return inverse


def _mle(logs: Tensor) -> float:
    """Return 'mle' from the logarithms of the distances to the k neighbors, (n, k), ascending."""
    return 1.0 / _inverses(logs).mean().item()


def _twonn(logs: Tensor, name: str) -> float:
    """Return 'twonn' from the logarithms of the distances to two neighbors, (n, 2), ascending."""
    n = len(logs)
    kept = int(n * KEPT)
    ratios = (logs[:, 1] - logs[:, 0]).sort().values[:kept]
    if ratios[-1] < ALIKE:
        raise Undefined(
            f"nearly all systems of {name} have their two nearest neighbors equally far"
        )
    empirical = torch.arange(1, kept + 1, dtype=ratios.dtype, device=ratios.device) / n
    return ((ratios @ -torch.log1p(-empirical)) / (ratios @ ratios)).item()


def _influence(logs: Tensor, value: float) -> NDArray[np.float64]:
    """Return what each system adds to 'twonn', but for a constant, times their number, (n,).

    'twonn' is Σ ln μ · w / Σ ln² μ over ordered ratios. The influence of the i-th on such a sum of
    h, weighted by J(rank / n), over n is −Σ_{j ≥ i} J(j / n) (h_{j+1} − h_j), but for a constant.
    """
    ratios = np.sort((logs[:, 1] - logs[:, 0]).numpy())
    n = len(ratios)
    rank = np.arange(1, n) / n
    kept = rank <= KEPT
    weight = np.where(kept, -np.log1p(-rank), 0.0)
    above, below = (
        -np.append(np.cumsum((factor * np.diff(h))[::-1])[::-1], 0.0)
        for factor, h in ((weight, ratios), (kept, np.square(ratios)))
    )
    parts: NDArray[np.float64] = above - value * below
    parts *= n / np.square(ratios[: int(n * KEPT)]).sum()
    return parts


def neighbor_distances(x: Tensor, k: int, rows: NDArray[np.int64] | None = None) -> Tensor:
    """Return Euclidean distances to the k nearest other rows, but for one factor.

    Args:
        x: The vectors, (n, d) float64.
        k: The number of neighbors, below n.
        rows: The rows whose distances are returned, (r,) ascending; all if None.

    Returns:
        The distances, (n, k) or (r, k) float64, ascending.
    """
    return torch.from_numpy(_neighbors(x, k, rows).value).sqrt()


def _neighbors(x: Tensor, k: int, rows: NDArray[np.int64] | None = None) -> Neighbors:
    """Return the k nearest other rows; see `neighbor_distances`."""
    # The squares of extremes would overflow or vanish, and every use is a ratio of distances.
    x = x.clone()
    near_one(x)
    return nearest(x, k, "euclidean", dtype=tile_dtype(len(x)), rows=rows)
