"""What a metric and a measure are.

A metric says how alike two models place the same systems; a measure tells something of one model's
vectors. Both give a number, or a reason why there is none.
"""

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
from query.engine.subsets import values_on_subsets
from query.engine.undefined import Undefined
from query.statistics.interval import counted, list_length, margin, paired_subsets, subset_k

# A model's alignment with itself that is a smaller part of its terms than this is rounding.
ROUNDING = 1e-10


class _Scaled(Protocol):
    """A model's state that holds the root of its alignment with itself."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> Mapping[str, float]: ...


def joint_scale(a: _Scaled, b: _Scaled, estimator: str | None) -> float:
    """Return √(align(a, a) · align(b, b)), by which normalized metrics divide.

    Args:
        a: The state of the first model.
        b: The state of the second.
        estimator: The estimator of the metric.

    Raises:
        Undefined: A model's alignment with itself is not positive.
    """
    for state in (a, b):
        if estimator not in state.scale:
            raise Undefined(
                f"the {estimator} alignment of {state.name} with itself is not positive"
            )
    return a.scale[str(estimator)] * b.scale[str(estimator)]


# Systems per neighbor, below which a row has a warning. If a quarter of all systems are neighbors,
# they are hardly nearer than the rest: lists of unrelated models have more than a quarter in
# common, and unbiased estimators reach values above 1.
CROWDED = 4


class Metric(ABC):
    """One alignment metric. Each has a file of this folder, with the attribute `METRIC`.

    A metric works on a `Comparison`: models over the same systems, of which the vectors are checked
    and normalized, and the neighbor lists and sums over all pairs of systems are found once for
    every metric and pair that needs them.

    Attributes:
        name: The name in Python and SQL.
        estimators: The names of its estimators, the default first; empty if there is only one way.
        uses_k: Whether the number of neighbors plays a part.
        default_k: The number of neighbors where none is asked for.
        symmetric: Whether the order of the two models does not matter.
        lower_is_closer: Whether 0 means the same, rather than 1.
        needs: The kinds of sums over all pairs of systems that it starts from, of `sums.KINDS`.
        lists: The geometry of the neighbor lists that it starts from, if any: 'inner' or
            'euclidean'.
        counts: Whether the value is a share of neighbors; see `interval.counted`.
    """

    name: ClassVar[str]
    estimators: ClassVar[tuple[str, ...]] = ()
    uses_k: ClassVar[bool] = False
    default_k: ClassVar[int] = DEFAULT_K
    symmetric: ClassVar[bool] = True
    lower_is_closer: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    lists: ClassVar[str | None] = None
    counts: ClassVar[bool] = False

    def least_systems(self, k: int) -> int:
        """Return the smallest number of systems for which there is a value.

        Args:
            k: The number of neighbors.
        """
        return 4

    def crowding(self, k: int, n: int) -> str | None:
        """Return a warning if k neighbors are so many of n systems that they are no neighborhood.

        Args:
            k: The number of neighbors.
            n: The number of systems.
        """
        if not self.uses_k or CROWDED * k <= n:
            return None
        return f"k = {k} of {n - 1} neighbors: give {CROWDED * k} or more systems, or a smaller k"

    def prepare(self, comparison: Comparison, i: int) -> Any:
        """Return what pairs need of one model; `Comparison.state` calls this and keeps the result.

        Args:
            comparison: The comparison.
            i: The number of the model.

        Returns:
            A state of the metric's own; None if it needs none.

        Raises:
            Undefined: The model can have no value.
        """
        return None

    @abstractmethod
    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        """Return the metric of two models.

        Args:
            comparison: The comparison.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`, or None if there are none.

        Raises:
            Undefined: There is no such value.
        """

    @abstractmethod
    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        """Return the metric with the pairing of the systems shuffled.

        Neighbors and distances are never found again.

        Args:
            comparison: The comparison.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`, or None if there are none.
            permutations: The pairings, (B, n) int64: in the p-th, row i of a is paired with row
                permutations[p, i] of b.

        Returns:
            The values, (B,) float64.

        Raises:
            Undefined: There are no such values.
        """

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        """Return the ends of the metric's range, beyond which no interval goes.

        Args:
            estimator: One of `estimators`, or None if there are none.
            n: The number of systems.
            k: The number of neighbors.
        """
        return -math.inf, math.inf

    def subsample_size(self, n: int) -> int:
        """Return how many of n systems a subset has that shows how the value scatters.

        See `query.statistics.interval`.

        Args:
            n: The number of systems.
        """
        return n // 2

    def list_length(self, n: int, k: int) -> int:
        """Return how many neighbors lists need, so that those of subsets can be cut from them.

        Args:
            n: The number of systems.
            k: The number of neighbors.
        """
        return max(k, list_length(k, n, self.subsample_size(n)))

    def margins(
        self,
        comparison: Comparison,
        pairs: Sequence[tuple[int, int]],
        estimator: str | None,
        subsamples: int,
        seed: int,
    ) -> NDArray[np.float64]:
        """Return half the width of every pair's 95 % interval.

        Args:
            comparison: The comparison.
            pairs: The pairs of models by their numbers.
            estimator: One of `estimators`, or None if there are none.
            subsamples: The number of random subsets.
            seed: The seed of the subsets.

        Returns:
            The half widths, (pairs,); NaN if the systems are too few to tell.
        """
        drawn = self._draw(comparison, subsamples, seed)
        if drawn is None:
            return np.full(len(pairs), np.nan)
        values, size = values_on_subsets(comparison, self, pairs, estimator, drawn), drawn.shape[1]
        wide = np.array([margin(values[:, p], comparison.n, size) for p in range(len(pairs))])
        if not self.counts:
            return wide
        for p, pair in enumerate(pairs):
            with contextlib.suppress(Undefined):  # without a value there is no interval
                wide[p] *= counted(
                    comparison.value(self, *pair, estimator), values[:, p], size / comparison.n
                )
        return wide

    def _draw(self, comparison: Comparison, subsamples: int, seed: int) -> NDArray[np.int64] | None:
        """Return pairs of subsets, (S, m), or None if the systems are too few."""
        size = self.subsample_size(comparison.n)
        if size < max(1, self.least_systems(subset_k(comparison.k_of(self), comparison.n, size))):
            return None
        return paired_subsets(comparison.n, size, subsamples, seed)


class Measure(ABC):
    """One measure. Each has a file of this folder, with the attribute `MEASURE`.

    Attributes:
        name: The name in Python and SQL.
        about: What it tells of one model's vectors, a clause for help texts.
        methods: The names of its methods, the default first.
        k: The default number of neighbors; None if no method has any.
        least_k: The smallest number of neighbors.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]
    k: ClassVar[int | None] = None
    least_k: ClassVar[int] = 1

    @abstractmethod
    def value(self, x: Tensor, method: str, k: int | None, name: str) -> float:
        """Return the measure of one model.

        Args:
            x: The normalized vectors, (n, d) float64, not all the same.
            method: One of `methods`.
            k: The number of neighbors, as `choose_k` gives it.
            name: How reasons call the model.

        Raises:
            Undefined: There is no such value.
        """

    def choose_k(self, method: str, k: int | None) -> int | None:
        """Return the number of neighbors that play a part, or None if the method has none.

        Args:
            method: One of `methods`.
            k: The number that is asked for; None for the default.

        Raises:
            ValueError: The number makes no sense.
        """
        if k is not None:
            raise ValueError(
                f"{self.name} has no neighbors, but k = {k} was asked for: leave it out"
            )
        return None

    def bounds(self, n: int, d: int) -> tuple[float, float]:
        """Return the ends of the measure's range, beyond which no interval goes.

        Args:
            n: The number of systems.
            d: The number of dimensions.
        """
        return 0.0, math.inf

    def subsample_size(self, n: int) -> int:
        """Return how many of n systems a subset has that shows how the value scatters.

        See `query.statistics.interval`.

        Args:
            n: The number of systems.
        """
        return n // 2
