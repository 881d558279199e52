"""How often 95 % intervals hold the true value, over samples of systems that are drawn again.

Two models see four common coordinates and noise of their own, in 9 and 8 dimensions. The true value
is that of the same number of systems: the mean over all samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from query.metrics import MEASURES, METRICS, align, measure
from query.statistics.interval import quantile
from tests.bench.report import Row

Values = NDArray[np.float64]
Way = tuple[str, str | None, int | None]  # metric or measure, estimator or method, k

WAYS: list[Way] = [
    (name, way, k)
    for name, metric in METRICS.items()
    for way in metric.estimators or (None,)
    for k in (
        ((1, 10) if name == "information_imbalance" else (10, 25)) if metric.uses_k else (None,)
    )
]
WAYS += [("intrinsic_dimension", "mle", k) for k in (10, 50)]
WAYS += [
    (name, way, None) for name, found in MEASURES.items() for way in found.methods if way != "mle"
]
STRENGTHS = {"strong": 0.3, "weak": 2.0}  # deviation of the noise; that of a common coordinate is 1
DIMENSIONS = (9, 8)
COVERING = (0.90, 0.98)  # which coverage the project accepts of 95 % intervals
# By number of systems: samples whose values give the true deviation, to 3 % (5 % of 800), and how
# many of them have an interval, so that a coverage of 95 % is known to 1.5 % (2.4 %).
SAMPLES = {60: (600, 200), 800: (240, 80)}


@dataclass(frozen=True)
class Simulated:
    """The values of many samples, and the intervals of the first of them.

    Attributes:
        values: The values, (draws,); NaN where undefined.
        low: The lower ends of the intervals, (told,); NaN where there is none.
        high: Their upper ends.
        freedom: The degrees of freedom of Student's t in the intervals.
    """

    values: Values
    low: Values
    high: Values
    freedom: float

    @property
    def coverage(self) -> float:
        """The share of the intervals that hold the true value."""
        true = self.values.mean()
        return float(((self.low <= true) & (true <= self.high)).mean())

    @property
    def scatter(self) -> float:
        """The standard deviation of the values."""
        return float(self.values.std(ddof=1))

    @property
    def claimed(self) -> float:
        """The root mean square of the deviations of which the intervals were made."""
        return float(np.sqrt(np.square(self.high - self.low).mean()) / 2 / quantile(self.freedom))


def simulate(
    way: Way, n: int, noise: float, draws: int, told: int, subsamples: int, seed: int = 0
) -> Simulated:
    """Return the values of `draws` samples of n systems, and intervals of the first `told`.

    Each interval is from `subsamples` subsets.
    """
    random = np.random.default_rng([seed, n])
    turns = [random.normal(size=(4, d)) for d in DIMENSIONS]
    found = np.full((draws, 3), np.nan)
    for r in range(draws):
        latent = random.normal(size=(n, 4))
        pair = [latent @ turn + noise * random.normal(size=(n, turn.shape[1])) for turn in turns]
        found[r] = _tell(way, pair, subsamples if r < told else 0, seed=r)
    halved = way[0] == "reconstruction_error"  # it draws nothing: its test systems count
    freedom = n // 2 - 1 if halved else 1 / (1 / ((subsamples + 1) // 2) + 1 / (n - 1))
    return Simulated(found[:, 0], found[:told, 1], found[:told, 2], freedom)


def _tell(way: Way, pair: list[Values], subsamples: int, seed: int) -> list[float | None]:
    """Return value, low and high."""
    name, how, k = way
    if name in MEASURES:
        one = measure(pair[0], name, method=how, k=k, subsamples=subsamples, seed=seed)
        return [one.value, one.low, one.high]
    both = align(*pair, name, estimator=how, k=k, subsamples=subsamples, seed=seed)
    return [both.value, both.low, both.high]


def called(way: Way) -> str:
    name, how, k = way
    return " ".join([name, *([how] if how else []), *([f"k = {k}"] if k else [])])


@dataclass(frozen=True)
class Covered(Row):
    """The deviation that intervals claim against that of the values, and their coverage."""

    coverage: float = math.nan
    told: int = 0

    def __str__(self) -> str:
        verdict = "" if COVERING[0] <= self.coverage <= COVERING[1] else "  OUTSIDE"
        return f"{super().__str__()} {self.coverage:>6.1%} of {self.told}{verdict}"


def run(systems: int | None = None, subsamples: int = 20) -> Iterator[Row]:
    """Yield every metric and measure, at both ends of n or one, weakly and strongly alike."""
    for n in SAMPLES if systems is None else (systems,):
        draws, told = SAMPLES.get(n, SAMPLES[max(SAMPLES)])
        for way in sorted(WAYS, key=lambda way: way[2] is None):  # those with neighbors first
            for strength, noise in STRENGTHS.items():
                found = simulate(way, n, noise, draws, told, subsamples)
                label = f"{called(way)}, n = {n}, {strength}"
                yield Covered(
                    label,
                    1e3 * found.claimed,
                    1e3 * found.scatter,
                    "‰",
                    None,
                    "",
                    found.coverage,
                    told,
                )
