"""What a metric is: a number that says how alike two models place the same systems, or a reason why there is none."""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine.comparison import Comparison
from query.engine.neighbors.finder import DEFAULT_K
from query.engine.undefined import Undefined
from query.statistics.interval import counted, list_length, margin, paired_subsets, subset_k

# A self-alignment smaller than this part of the terms it is the difference of is rounding.
ROUNDING = 1e-10


class Scaled(Protocol):
    """A model's state with the root of its alignment with itself, by estimator; absent where that is not positive."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> Mapping[str, float]: ...


def joint_scale(a: Scaled, b: Scaled, estimator: str | None) -> float:
    """√(align(a, a) · align(b, b)), what normalized metrics divide by. Raises Undefined."""
    for state in (a, b):
        if estimator not in state.scale:
            raise Undefined(
                f"the {estimator} alignment of {state.name} with itself is not positive"
            )
    return a.scale[str(estimator)] * b.scale[str(estimator)]


# Systems per neighbor below which a row says so. From a quarter of all systems on, neighbors are hardly nearer than the
# rest: lists of unrelated models have more than a quarter in common, and unbiased estimators reach values above 1.
CROWDED = 4


class Metric(ABC):
    """One alignment metric; one file of this folder each, found by its module attribute `METRIC`.

    A metric works on a `Comparison`: models over the same systems, whose vectors are checked and normalized, and whose
    neighbor lists and sums over all pairs of systems are found once for every metric and pair that needs them.
    """

    name: ClassVar[str]
    estimators: ClassVar[
        tuple[str, ...]
    ] = ()  # the first is the default; none where there is only one way
    uses_k: ClassVar[bool] = False
    default_k: ClassVar[int] = DEFAULT_K
    symmetric: ClassVar[bool] = True
    lower_is_closer: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = (
        frozenset()
    )  # of sums.KINDS: what one pass over all pairs of systems finds
    lists: ClassVar[str | None] = None  # geometry of the neighbor lists it starts from
    counts: ClassVar[bool] = (
        False  # whether the value is a share of neighbors; see `interval.counted`
    )

    def least_systems(self, k: int) -> int:
        """The smallest number of systems for which the metric says anything."""
        return 4

    def crowding(self, k: int, n: int) -> str | None:
        """Return a warning where k neighbors are so many of n systems that they are no neighborhood."""
        if not self.uses_k or CROWDED * k <= n:
            return None
        return f"k = {k} of {n - 1} neighbors: give {CROWDED * k} or more systems, or a smaller k"

    def prepare(self, comparison: Comparison, i: int) -> Any:
        """What pairs need from model i alone; asked for through `comparison.state`, which keeps it. Raises Undefined."""
        return None

    @abstractmethod
    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        """The metric of models a and b of the comparison. Raises Undefined."""

    @abstractmethod
    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        """The metric with the pairing shuffled.

        permutations: (B, n) int64; in the p-th, row i of a is paired with row permutations[p, i] of b.
        Returns (B,) float64. Neighbors and distances are never found again. Raises Undefined.
        """

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        """The ends of the metric's range, beyond which no interval goes."""
        return -math.inf, math.inf

    def subsample_size(self, n: int) -> int:
        """How many of n systems a subset has that says how the value scatters; see `interval`."""
        return n // 2

    def list_length(self, n: int, k: int) -> int:
        """How long lists have to be for those of the subsets to be cut from them."""
        return max(k, list_length(k, n, self.subsample_size(n)))

    def margins(
        self,
        comparison: Comparison,
        pairs: Sequence[tuple[int, int]],
        estimator: str | None,
        subsamples: int,
        seed: int,
    ) -> NDArray[np.float64]:
        """Half the width of every pair's interval, (pairs,); NaN where the systems are too few to tell."""
        drawn = self.draw(comparison, subsamples, seed)
        if drawn is None:
            return np.full(len(pairs), np.nan)
        values, size = self.resampled(comparison, pairs, estimator, drawn), drawn.shape[1]
        wide = np.array([margin(values[:, p], comparison.n, size) for p in range(len(pairs))])
        if not self.counts:
            return wide
        for p, pair in enumerate(pairs):
            with contextlib.suppress(Undefined):  # then there is nothing to put an interval around
                wide[p] *= counted(
                    comparison.value(self, *pair, estimator), values[:, p], size / comparison.n
                )
        return wide

    def draw(self, comparison: Comparison, subsamples: int, seed: int) -> NDArray[np.int64] | None:
        """Pairs of subsets, (S, m), whose values tell how wide an interval is; None where the systems are too few."""
        size = self.subsample_size(comparison.n)
        if size < max(1, self.least_systems(subset_k(comparison.k_of(self), comparison.n, size))):
            return None
        return paired_subsets(comparison.n, size, subsamples, seed)

    def resampled(
        self,
        comparison: Comparison,
        pairs: Sequence[tuple[int, int]],
        estimator: str | None,
        subsets: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """The metric of every pair on every subset, NaN where undefined.

        subsets: (S, m) row numbers, ascending. Returns (S, pairs).
        """
        found = np.full((len(subsets), len(pairs)), np.nan)
        k = subset_k(comparison.k_of(self), comparison.n, subsets.shape[1])
        for s, rows in enumerate(subsets):
            part = comparison.subset(rows, k)
            part.sums.compute(self.needs)
            for p, (a, b) in enumerate(pairs):
                try:
                    found[s, p] = part.value(self, a, b, estimator)
                except Undefined:
                    continue
        return found


class Measure(ABC):
    """One measure; one file of this folder each, found by its module attribute `MEASURE`."""

    name: ClassVar[str]
    about: ClassVar[str]  # what it tells of one model's vectors; a clause for help texts
    methods: ClassVar[tuple[str, ...]]  # the first is the default
    k: ClassVar[int | None] = None  # default number of neighbors; None where no method has any
    least_k: ClassVar[int] = 1

    @abstractmethod
    def value(self, x: Tensor, method: str, k: int | None, name: str) -> float:
        """The measure of one model.

        x: (n, d) float64, normalized, not all rows the same. k: what `choose_k` gave. name: how reasons call the model.
        Raises Undefined.
        """

    def choose_k(self, method: str, k: int | None) -> int | None:
        """The neighbors that play a part: k, or the default for None; None where the method has none.

        Raises ValueError on a k that makes no sense.
        """
        if k is not None:
            raise ValueError(
                f"{self.name} has no neighbors, but k = {k} was asked for: leave it out"
            )
        return None

    def bounds(self, n: int, d: int) -> tuple[float, float]:
        """The ends of the measure's range, beyond which no interval goes."""
        return 0.0, math.inf

    def subsample_size(self, n: int) -> int:
        """How many of n systems a subset has that says how the value scatters; see `interval`."""
        return n // 2
