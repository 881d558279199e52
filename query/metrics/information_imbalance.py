"""Information imbalance Δ(a → b): how far apart b places the systems that are close in a.

Reference: Glielmo, Zeni, Cheng, Csányi, Laio, PNAS Nexus 1, pgac039 (2022); DADApy's
    `return_information_imbalace`.
Definition: Δ(a → b) = 2/n · the mean over systems i, and over i's k nearest systems j in a, of
    r_ij, the place (from 1) that j has among i's neighbors in b. Distances are Euclidean. Systems
    tied in b share the mean of their places; if systems tie for the k-th place in a, the mean over
    j is weighted by the probability that j is among the k nearest if ties are broken at random
    (see `query/engine/neighbors/lists.py`). DADApy takes the places that its sort gives.
Range: (k + 1)/n for a b that keeps all of a's neighbors, 1 on average for unrelated models; up to
    2. It is asymmetric, and lower is closer: a predicts b if Δ(a → b) is small; if Δ(b → a) is
    large at the same time, a holds more than b. It falls with n at fixed k for related models:
    compare only values of equal n and k.
Invariant to: rotations and reflections, shifts (under normalization 'none'), scale, the order of
    the systems.
Undefined: fewer than max(k + 2, 4) systems, constant vectors.
Tested against: DADApy 0.3.4, and the ranks of SciPy's rankdata over dense distances.

The null: the place of a random system is any place, so pairings shuffled at random give 1 on
average, the more closely the more systems there are. Places are not kept for all pairs of systems,
so pairings are run among at most `LARGEST` of them, and the result is drawn toward 1 by √(m/n).

From some rows: the mean over i is that of the drawn systems, and so is that of shuffled pairings.

The interval: systems that share a neighbor share its place, so their places are not independent,
and an interval from their spread alone covered 79 %. How much more their mean scatters than that of
independent places (the design effect: Kish, Survey Sampling, 1965) is found by comparing halves
(see `query/statistics/interval.py`) of at most `RESAMPLED` systems or 8 k, as places cannot be
counted again for many halves of all. The spread itself is that of all systems: as places fall with
n, so does their scatter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine import kernels, threads
from query.engine.comparison import Comparison
from query.engine.neighbors.candidates import center
from query.engine.neighbors.lists import Neighborhoods
from query.engine.neighbors.search import find_lists
from query.engine.pairings import Orders, over_pairings
from query.engine.rows.drawn import DrawnRows
from query.engine.rows.places import Places, find_places
from query.engine.sums import RANKED
from query.engine.tile_operations import rounding
from query.engine.tiles import FLOAT64_BYTES, blocks
from query.engine.undefined import Undefined
from query.metrics.alignment import bare_alignment
from query.metrics.matrices import RESAMPLED, few_systems
from query.metrics.shared.estimates import Estimate, RowMetric
from query.metrics.shared.many_lists import find_by_second, places_of_all, rank_all, stack_lists
from query.metrics.shared.many_pairs import NullsTogether
from query.metrics.shared.result import Pair
from query.statistics.interval import margin, subset_k, subsets


class _InformationImbalance(RowMetric, NullsTogether):
    """See the module."""

    name: ClassVar[str] = "information_imbalance"
    uses_k: ClassVar[bool] = True
    # As Glielmo et al. define it; Edamadaka et al. show 50, 200 and 500.
    default_k: ClassVar[int] = RANKED
    symmetric: ClassVar[bool] = False
    lower_is_closer: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"ranks"})
    lists: ClassVar[str | None] = "euclidean"

    def least_systems(self, k: int) -> int:
        return max(k + 2, 4)

    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        return 2 / comparison.n * float(self._ranks(comparison, a, b).mean())

    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        rows, orders = few_systems(comparison, permutations)
        ranks = comparison.keep_if_room(
            (self.name, "ranks among few", b), lambda: rank_all(comparison.vectors(b), rows)
        )
        nearest: Neighborhoods = comparison.keep(
            (self.name, "nearest among few", a), lambda: self._among(comparison, a, rows)
        )

        def add(order: Orders, place: Orders, out: NDArray[np.float64]) -> None:
            out[0] = kernels.sum_places(nearest, ranks, order)

        return self._shuffled(comparison, over_pairings(orders, 1, add)[:, 0], len(rows))

    def nulls(
        self,
        comparison: Comparison,
        pairs: Sequence[Pair],
        estimator: str | None,
        permutations: Tensor,
    ) -> dict[Pair, Callable[[], Tensor]]:
        rows, orders = few_systems(comparison, permutations)
        if len(rows) < comparison.n:  # some models may have no lists among the few
            return {}

        def sums(firsts: Sequence[int], b: int) -> NDArray[np.float64]:
            near = (comparison.neighbors(a, "euclidean", comparison.k_of(self)) for a in firsts)
            return places_of_all(stack_lists(near), rank_all(comparison.vectors(b), rows), orders)

        def null(find: Callable[[], NDArray[np.float64]]) -> Tensor:
            return self._shuffled(comparison, find(), len(rows))

        return {pair: partial(null, find) for pair, find in find_by_second(pairs, sums).items()}

    def _shuffled(self, comparison: Comparison, sums: NDArray[np.float64], m: int) -> Tensor:
        """Return the values of shuffled pairings from sums of places among m systems, (B,)."""
        k = min(comparison.k_of(self), m - 2)
        shuffled = 2 / m * torch.from_numpy(sums) / (m * k)
        drawn_in: float = (m / comparison.n) ** 0.5
        return shuffled if m == comparison.n else shuffled * drawn_in + (1 - drawn_in)

    def searched(self, rows: int, k: int, estimator: str | None) -> int:
        return 2 * rows

    def estimate(self, drawn: DrawnRows, a: int, b: int, estimator: str | None) -> Estimate:
        places = 2 / drawn.n * self._places(drawn, b).mean[a]
        return Estimate(float(places.mean()), places)

    def null_of_rows(
        self, drawn: DrawnRows, a: int, b: int, estimator: str | None
    ) -> NDArray[np.float64]:
        shuffled: NDArray[np.float64] = 2 / drawn.n * self._places(drawn, b).shuffled[a]
        return shuffled

    def _places(self, drawn: DrawnRows, i: int) -> Places:
        """Return the places of all models' nearest systems in one model."""

        def near(other: int) -> Neighborhoods:
            return drawn.neighbors(other, "euclidean", drawn.comparison.k_of(self))

        key = (self.name, i)
        found: Places = drawn.keep(key, lambda: find_places(drawn, i, drawn.of_all(near)))
        return found

    def _among(self, comparison: Comparison, i: int, rows: NDArray[np.int64]) -> Neighborhoods:
        """Return who is nearest in model i among some of the systems."""
        k = comparison.k_of(self)
        if len(rows) == comparison.n:
            return comparison.neighbors(i, "euclidean", k)
        x, resolution = (
            comparison.vectors(i)[torch.from_numpy(rows)],
            comparison.resolution(i).of_rows(rows),
        )
        k = min(k, len(rows) - 2)
        return find_lists(x, k, "euclidean", resolution, comparison.names[i]).first(k)

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        return (k + 1) / n, 2.0

    def list_length(self, n: int, k: int) -> int:
        return k  # subsets are of few systems, and searched again

    def margins(
        self,
        comparison: Comparison,
        pairs: Sequence[tuple[int, int]],
        estimator: str | None,
        subsamples: int,
        seed: int,
    ) -> NDArray[np.float64]:
        """Return the error of independent places times the root of the design effect."""
        few = max(RESAMPLED, 8 * comparison.k_of(self))
        part = (
            comparison
            if comparison.n <= few
            else comparison.subset(subsets(comparison.n, few, 1, seed)[0])
        )
        drawn = self._draw(part, subsamples, seed)
        if drawn is None:
            return np.full(len(pairs), np.nan)
        values = np.full((len(drawn), len(pairs)), np.nan)
        errors = values.copy()
        for s, rows in enumerate(drawn):
            half = part.subset(rows, subset_k(comparison.k_of(self), part.n, drawn.shape[1]))
            for p, pair in enumerate(pairs):
                values[s, p], errors[s, p] = self._value_and_error(half, *pair)
        independent = np.sqrt(np.nanmean(np.square(errors), axis=0) * drawn.shape[1] / part.n)
        wide = [margin(values[:, p], part.n, drawn.shape[1]) for p in range(len(pairs))]
        every = [self._value_and_error(comparison, *pair)[1] for pair in pairs]
        wider: NDArray[np.float64] = np.divide(
            wide, independent, out=np.ones(len(pairs)), where=independent != 0
        )
        return wider * every

    def _value_and_error(self, comparison: Comparison, a: int, b: int) -> tuple[float, float]:
        """Return value and standard error if systems were independent; NaN where undefined."""
        try:
            value = comparison.value(self, a, b, None)
            return value, 2 / comparison.n**1.5 * float(self._ranks(comparison, a, b).std(ddof=1))
        except Undefined:
            return math.nan, math.nan

    def _ranks(self, comparison: Comparison, a: int, b: int) -> NDArray[np.float64]:
        """Return the mean place in b of each system's nearest in a, (n,)."""
        ranks: NDArray[np.float64] = comparison.keep(
            (self.name, a, b), lambda: self._find_ranks(comparison, a, b)
        )
        return ranks

    def _find_ranks(self, comparison: Comparison, a: int, b: int) -> NDArray[np.float64]:
        counts = comparison.sums.of_kind("ranks").ranks[
            comparison.sums.place(b), :, comparison.sums.place(a)
        ]
        places: NDArray[np.float64] = counts.mean(axis=1) / 2 + 0.5
        nearest = comparison.neighbors(a, "euclidean", comparison.k_of(self))
        others = np.flatnonzero(~nearest.plain)
        if others.size:
            places[others] = _places_of(comparison.vectors(b), others, nearest, comparison.device)
        return places


METRIC = _InformationImbalance()


def information_imbalance(
    a: ArrayLike | Tensor, b: ArrayLike | Tensor, k: int = 1, *, normalize: str = "l2"
) -> float:
    """Return Δ(a → b) of two models' vectors over the same systems.

    See the module.

    Args:
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        k: The number of neighbors.
        normalize: 'l2', 'max', 'zscore' or 'none'.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_alignment(METRIC, a, b, k=k, estimator=None, normalization=normalize)


def _places_of(
    x: Tensor, rows: NDArray[np.int64], nearest: Neighborhoods, device: torch.device
) -> NDArray[np.float64]:
    """Return the weighted mean of the places that the nearest systems of some rows have in x.

    Whole rows are sorted: so many systems can tie that counting what is closer to each takes
    longer.

    Args:
        x: The normalized vectors of the other model, (n, d) float64.
        rows: The systems, (m,).
        nearest: The neighborhoods.
        device: Where products are computed.

    Returns:
        The mean places, counted from 1, (m,).
    """
    centered, lengths = center(x, x.mean(dim=0), x.dtype)
    z, squares = centered.to(device), lengths.to(device)
    precision = rounding(x.dtype, x.shape[1])
    found = np.empty(len(rows))
    for part in blocks(len(rows), len(x) * FLOAT64_BYTES):
        chosen = torch.from_numpy(rows[part]).to(device)
        tile = squares / 2 - z[chosen] @ z.T
        tile[torch.arange(len(chosen)), chosen] = torch.inf
        rest = squares[chosen].cpu().numpy(), precision, found[part]
        _mean_places(tile.cpu().numpy(), rows[part], nearest, *rest)
    return found


def _mean_places(
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    nearest: Neighborhoods,
    squares: NDArray[np.float64],
    precision: float,
    out: NDArray[np.float64],
) -> None:
    def average(p: slice) -> None:
        kernels.mean_places(values[p], rows[p], nearest, squares[p], precision, out[p])

    threads.each(average, threads.parts(len(rows), 16))
