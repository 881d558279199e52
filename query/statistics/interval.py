"""How far a value would move with other systems: a 95 % interval from pairs of random subsets.

Two subsets of m of the n systems that have as few systems in common as they can (none if m ≤ n/2)
give two values. Half the mean square of their difference, over S/2 such pairs, times m² / (n ·
min(m, n − m)), is the variance of the value itself: for halves that of McCarthy's half-samples and
their complements (Rev. Int. Stat. Inst. 37, 239 (1969)).

Why not the spread over subsets that overlap by chance, the delete-d jackknife (Shao and Wu, Ann.
Stat. 17, 1176 (1989))? It is right for what is nearly a sum over systems. A jackknife counts what
pairs of systems add once for each of the two (Efron and Stein, Ann. Stat. 9, 586 (1981)), so
metrics with neighbors came out 1.2 to 1.7 times too wide. Disjoint subsets are independent samples:
the difference of their values has twice the variance of a value of m systems whatever the metric is
made of, and what is local scatters as 1/m (Penrose and Yukich, Ann. Appl. Probab. 11, 1005 (2001)).
Drawing with replacement, the bootstrap, would make duplicates, which neighbors and distances of 0
take for structure; systems that are duplicates already fall into both subsets or one, as they would
in two samples.

A share of neighbors that two models have in common is a count, which scatters by chance as √(value
· (1 − value)) does. Among half of the systems as many neighbors are shared by chance twice as
often, so that intervals of weakly alike models came out 1.4 times too wide: the width is multiplied
by the root of what the scatter of counts is among all systems, over that among m.

The interval is the value plus and minus as many deviations as Student's t requires for so few pairs
and systems, cut at the ends of the metric's range. It says how the value scatters over samples of n
systems, not how it would differ for more. For models that have nothing in common it can be up to
1.5 times too wide: the null says what such values are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95  # the probability that an interval holds the value of all systems of the kind
# The warning in the place of an interval.
UNTOLD = "no interval: random parts of n = {n} systems have no value of their own"
# The share of a subset's systems, up to which as many neighbors are taken as among all. Beyond it
# the neighborhoods of a subset would be much wider than those of all, and a smaller k that reaches
# as far is closer to them.
LOCAL = 0.25


def require_subsamples(count: int) -> None:
    """Refuse a number of subsamples that gives no deviation.

    Args:
        count: The number of subsamples; 0 asks for none.

    Raises:
        ValueError: The number is negative or 1.
    """
    if count < 0 or count == 1:
        raise ValueError(f"subsamples = {count}, expected 0, or 2 and more")


def subsets(n: int, size: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return random subsets of the systems, always the same for a seed.

    Args:
        n: The number of systems.
        size: The number of systems of a subset.
        count: The number of subsets.
        seed: The seed.

    Returns:
        The systems of each subset, (count, size) ascending.
    """
    generator = np.random.default_rng(seed)
    return np.stack([np.sort(generator.choice(n, size, replace=False)) for _ in range(count)])


def paired_subsets(n: int, size: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return random subsets of which each two that follow each other have few systems in common.

    The 1st and 2nd, the 3rd and 4th, … have as few in common as they can.

    Args:
        n: The number of systems.
        size: The number of systems of a subset.
        count: The number of subsets; one more if it is odd.
        seed: The seed.

    Returns:
        The systems of each subset, (count, size) ascending.
    """
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(n) for _ in range((count + 1) // 2))
    return np.stack(
        [np.sort(part) for order in orders for part in (order[:size], order[n - size :])]
    )


def subset_k(k: int, n: int, size: int) -> int:
    """Return how many neighbors in a subset stand for k among all systems.

    Args:
        k: The number of neighbors among all.
        n: The number of all systems.
        size: The number of systems of the subset.

    Returns:
        k if k is small beside the subset, else as many as are about as far away.
    """
    return max(1, round(k * size / n), min(k, int(LOCAL * size)))


def list_length(k: int, n: int, size: int) -> int:
    """Return among how many neighbors `subset_k` fall in a subset, but for one row in a thousand.

    Args:
        k: The number of neighbors among all.
        n: The number of all systems.
        size: The number of systems of the subset.
    """
    return reach(subset_k(k, n, size), size / n)


def reach(wanted: int, share: float) -> int:
    """Return among how many neighbors some fall in a random subset, but for one row in a thousand.

    Args:
        wanted: How many have to.
        share: The part of the systems that is in the subset, 0 to 1.
    """
    # Three deviations of the number that is found, over √length.
    spread = 3 * math.sqrt(share * (1 - share))
    return math.ceil(((spread + math.sqrt(spread**2 + 4 * share * wanted)) / (2 * share)) ** 2)


def margin(values: NDArray[np.float64], n: int, size: int) -> float:
    """Return half the width of the interval, or NaN if no pair of subsets has two values.

    Args:
        values: The values of `paired_subsets`, (S,); NaN where undefined.
        n: The number of all systems.
        size: The number of systems of a subset.
    """
    apart = values[::2] - values[1::2]
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return math.nan
    variance = np.square(apart).mean() / 2 * size**2 / (n * min(size, n - size))
    # Satterthwaite's: the pairs are few, and so are the systems.
    freedom = 1 / (1 / len(apart) + 1 / (n - 1))
    return float(quantile(freedom) * variance**0.5)


def counted(value: float, parts: NDArray[np.float64], share: float) -> float:
    """Return how much less a share of neighbors scatters by chance than shares of random parts do.

    Args:
        value: The share among all systems, 0 to 1.
        parts: The shares of random parts, (S,); NaN where undefined.
        share: The part of the systems that is in a random part, 0 to 1.

    Returns:
        A factor of the width: from √share, if both are chance, to 1.
    """
    among = parts[~np.isnan(parts)].mean() if np.isfinite(parts).any() else math.nan
    if not value < among < 1:
        return 1.0
    scatter = value * (1 - value) / (among * (1 - among)) if value > 0 else 0.0
    return math.sqrt(min(1.0, max(share, scatter)))


def quantile(freedom: float) -> float:
    """Return how many deviations on either side hold LEVEL of Student's t distribution.

    Args:
        freedom: The degrees of freedom.
    """
    from scipy.special import stdtrit  # slow to import, and rarely needed

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def around(value: float, half: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of the interval, within the range of the metric.

    Args:
        value: The value, which rounding may put a little outside of the range.
        half: Half the width of the interval.
        bounds: The ends of the range.
    """
    least, most = bounds
    return max(value - half, min(least, value)), min(value + half, max(most, value))
