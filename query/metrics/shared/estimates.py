"""Estimates of a metric from some of the systems, each seen among all, and their standard errors.

Systems are drawn at random without replacement, so the mean of anything over the r drawn ones
estimates that over all n without bias, and its variance is (1 − r/n) s²/r, where s² is the variance
over the drawn ones (Cochran, Sampling Techniques, 3rd ed., 1977, chapter 2). A normalized metric is
a ratio of such means. Its error is that of its first-order terms (the delta method; Cochran,
chapter 6), and its bias is of the order 1/r, far below the error. The error is that of the
estimate, about the value over all n systems; it is not how the value scatters over other samples
of systems.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine.rows.drawn import DrawnRows
from query.engine.undefined import Undefined
from query.metrics.base import ROUNDING, Measure, Metric

Values = NDArray[np.float64]
# The warning in the place of an interval.
NO_SUBSETS = "no interval: subsets of the systems need the neighbors of all, not of {rows} rows"


def require_rows(rows: int | None) -> None:
    """Refuse a number of rows of which there is no mean.

    Args:
        rows: The number; None asks for all.

    Raises:
        ValueError: The number is below 1.
    """
    if rows is not None and rows < 1:
        raise ValueError(f"rows = {rows}, expected 1 or more, or none for all systems")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value from some of the systems.

    Attributes:
        value: The value.
        parts: What each drawn system adds to it, to first order and but for a constant, times
            their number, (r,).
    """

    value: float
    parts: Values

    def standard_error(self, n: int) -> float | None:
        """Return the standard error about the value over all systems; None for one system.

        Args:
            n: The number of all systems.
        """
        r = len(self.parts)
        if r < 2:
            return None
        return math.sqrt((1 - r / n) / r * float(self.parts.var(ddof=1)))


@dataclass(frozen=True, slots=True)
class RowMean:
    """The mean over systems of something, estimated from some of them.

    Attributes:
        mean: The estimate.
        parts: What each drawn system adds to it, to first order, times their number, (r,).
        size: The size of its terms, beside which less is rounding.
    """

    mean: float
    parts: Values
    size: float

    @classmethod
    def of(cls, values: Values, size: float | None = None) -> RowMean:
        """Return the mean of values of the drawn systems.

        Args:
            values: The values, (r,).
            size: The size of its terms; their mean absolute value if None.
        """
        found = float(np.abs(values).mean()) if size is None else size
        return cls(float(values.mean()), values, found)

    def plus_product(self, a: Values, b: Values, factor: float, n: int) -> RowMean:
        """Return this mean and the product of two other means, without bias.

        Args:
            a: Values of the drawn systems, (r,).
            b: Other values of theirs, (r,).
            factor: The number by which the product is multiplied.
            n: The number of all systems.
        """
        r, means = len(a), (float(a.mean()), float(b.mean()))
        # The product of two means from the same systems is off by their covariance.
        common = (1 - r / n) / r * float(np.cov(a, b)[0, 1]) if r > 1 else 0.0
        parts = self.parts + factor * (a * means[1] + means[0] * b)
        mean = self.mean + factor * (means[0] * means[1] - common)
        return RowMean(mean, parts, self.size + abs(factor * means[0] * means[1]))


def normalized(together: RowMean, own: tuple[RowMean, RowMean], names: tuple[str, str]) -> Estimate:
    """Return align(a, b) / √(align(a, a) · align(b, b)).

    Args:
        together: The alignment of the two models.
        own: The alignment of each with itself.
        names: How reasons call the models.

    Raises:
        Undefined: A model's alignment with itself is not positive.
    """
    for mean, name in zip(own, names, strict=True):
        if not mean.mean > ROUNDING * mean.size:
            raise Undefined(
                f"the alignment of {name} with itself is not positive in {len(mean.parts)} rows"
            )
    scale = math.sqrt(own[0].mean * own[1].mean)
    value = together.mean / scale
    parts = together.parts / scale
    for mean in own:
        parts = parts - value / 2 * mean.parts / mean.mean
    return Estimate(value, parts)


class RowMetric(Metric):
    """A metric that costs n² and can be estimated from some of the systems.

    All others cost n · d², and are exact whatever `rows` is.

    Attributes:
        no_null: Why there is no null if only some systems are drawn; None if there is one.
    """

    no_null: ClassVar[str | None] = None

    def is_exact(self, n: int, rows: int, k: int, estimator: str | None) -> bool:
        """Return whether the exact value takes no more than the estimate.

        Args:
            n: The number of all systems.
            rows: How many are drawn.
            k: The number of neighbors.
            estimator: One of `estimators`, or None if there are none.
        """
        return rows >= n

    def searched(self, rows: int, k: int, estimator: str | None) -> int:
        """Return how many rows of products with all systems an estimate takes of each model.

        Args:
            rows: How many systems are drawn.
            k: The number of neighbors.
            estimator: One of `estimators`, or None if there are none.
        """
        return rows

    def affordable(self, drawn: DrawnRows, estimator: str | None) -> tuple[DrawnRows, str | None]:
        """Return the drawn systems that an estimate is from, and why if they are not all.

        Args:
            drawn: The drawn systems.
            estimator: One of `estimators`, or None if there are none.
        """
        return drawn, None

    def prepare_rows(self, drawn: DrawnRows, i: int, estimator: str | None) -> Any:
        """Return what estimates need of one model, for `state_of_rows` to keep.

        Args:
            drawn: The drawn systems.
            i: The number of the model.
            estimator: One of `estimators`, or None if there are none.

        Raises:
            Undefined: The model can have no value.
        """
        return None

    def state_of_rows(self, drawn: DrawnRows, i: int, estimator: str | None) -> Any:
        """Return what `prepare_rows` found of one model, and find it if it was not.

        Args:
            drawn: The drawn systems.
            i: The number of the model.
            estimator: One of `estimators`, or None if there are none.

        Raises:
            Undefined: The model can have no value.
        """
        key = (self.name, i, estimator)
        return drawn.keep(key, lambda: self.prepare_rows(drawn, i, estimator))

    @abstractmethod
    def estimate(self, drawn: DrawnRows, a: int, b: int, estimator: str | None) -> Estimate:
        """Return the estimate for two models.

        Args:
            drawn: The drawn systems.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`, or None if there are none.

        Raises:
            Undefined: There is no such value.
        """

    @abstractmethod
    def null_of_rows(self, drawn: DrawnRows, a: int, b: int, estimator: str | None) -> Values:
        """Return the estimates with the pairing of the systems shuffled by `drawn.orders`, (B,).

        Args:
            drawn: The drawn systems.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`, or None if there are none.

        Raises:
            Undefined: There are no such values; always if `no_null` says why.
        """


class RowMeasure(Measure):
    """A measure that costs n² and can be estimated from some of the systems.

    All others cost n · d², and are exact whatever `rows` is.
    """

    @abstractmethod
    def estimate(
        self, different: Tensor, rows: NDArray[np.int64], method: str, k: int | None, name: str
    ) -> Estimate:
        """Return the estimate for one model.

        Args:
            different: The distinct normalized vectors, (n, d) float64, at least two.
            rows: Those that are drawn, (r,) ascending.
            method: One of `methods`.
            k: The number of neighbors, as `choose_k` gives it.
            name: How reasons call the model.

        Raises:
            Undefined: There is no such value.
        """

    @abstractmethod
    def on_subsets(
        self, x: Tensor, subsets: NDArray[np.int64], method: str, k: int | None
    ) -> Values:
        """Return the value of each subset of the systems, (S,); NaN where undefined.

        Args:
            x: The normalized vectors, (n, d) float64, all distinct.
            subsets: The systems of each subset, (S, m) ascending.
            method: One of `methods`.
            k: The number of neighbors within a subset; None if the method has none.
        """
