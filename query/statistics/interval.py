"""How far a value would move with other systems of the same kind: a 95 % interval from pairs of random subsets.

Two subsets of m of the n systems that have as few systems in common as they can (none where m ≤ n/2) give two values.
Half the mean square of their difference, over S/2 such pairs, times m² / (n · min(m, n − m)), is the variance of the
value itself: for halves that of McCarthy's half-samples and their complements (Rev. Int. Stat. Inst. 37, 239 (1969)).

Why not the spread over subsets that overlap by chance, the delete-d jackknife (Shao & Wu, Ann. Stat. 17, 1176 (1989))?
It is right for what is nearly a sum over systems. A jackknife counts what pairs of systems add once for each of the two
(Efron & Stein, Ann. Stat. 9, 586 (1981)), so metrics with neighbors came out 1.2 to 1.7 times too wide. Disjoint
subsets are independent samples: the difference of their values has twice the variance of a value of m systems whatever
the metric is made of, and what is local scatters as 1/m (Penrose & Yukich, Ann. Appl. Probab. 11, 1005 (2001)).
Drawing with replacement, the bootstrap, would make duplicates, which neighbors and distances of 0 take for structure;
systems that are duplicates already fall into both subsets or one, as they would in two samples.

A share of neighbors that two models have in common is a count, which scatters by chance as √(value · (1 − value)) does.
Among half of the systems as many neighbors are shared by chance twice as often, so that weakly alike models came out
1.4 times too wide: the width is multiplied by the root of what the scatter of counts is among all, over that among m.

The interval is the value plus and minus as many deviations as Student's t wants for so few pairs and systems, cut at
the ends of the metric's range. It says how the value scatters over samples of n systems, not how it would differ for
more. For models that have nothing in common it can be up to 1.5 times too wide: the null says what such values are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
UNTOLD = "no interval: random parts of n = {n} systems have no value of their own"  # what is said in its place
# Of the systems of a subset, up to which as many neighbors are taken as among all. Beyond it the neighborhoods of a
# subset would be much wider than those of all, and a smaller k that reaches as far is the better likeness.
LOCAL = 0.25


def require_subsamples(count: int) -> None:
    """Raise ValueError on a number of subsamples that gives no deviation; 0 asks for none."""
    if count < 0 or count == 1:
        raise ValueError(f"subsamples = {count}, expected 0, or 2 and more")


def subsets(n: int, size: int, count: int, seed: int) -> NDArray[np.int64]:
    """`count` random subsets of `size` of n systems, (count, size), rows ascending, always the same for a seed."""
    generator = np.random.default_rng(seed)
    return np.stack([np.sort(generator.choice(n, size, replace=False)) for _ in range(count)])


def paired_subsets(n: int, size: int, count: int, seed: int) -> NDArray[np.int64]:
    """As `subsets`, the 1st and 2nd, the 3rd and 4th, … with as few systems in common as can be; one more if odd."""
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(n) for _ in range((count + 1) // 2))
    return np.stack(
        [np.sort(part) for order in orders for part in (order[:size], order[n - size :])]
    )


def subset_k(k: int, n: int, size: int) -> int:
    """How many neighbors in a subset stand for k among n systems: k where they are few, else those as far away."""
    return max(1, round(k * size / n), min(k, int(LOCAL * size)))


def list_length(k: int, n: int, size: int) -> int:
    """Neighbors among n systems of which, but for one row in a thousand, `subset_k` are in a subset."""
    share, wanted = size / n, subset_k(k, n, size)
    spread = 3 * math.sqrt(
        share * (1 - share)
    )  # of those found, three deviations: √length times it
    return math.ceil(((spread + math.sqrt(spread**2 + 4 * share * wanted)) / (2 * share)) ** 2)


def margin(values: NDArray[np.float64], n: int, size: int) -> float:
    """Half the width of the interval, from the values of `paired_subsets`, (S,); NaN where no pair has two values."""
    apart = values[::2] - values[1::2]
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return math.nan
    variance = np.square(apart).mean() / 2 * size**2 / (n * min(size, n - size))
    freedom = 1 / (
        1 / len(apart) + 1 / (n - 1)
    )  # Satterthwaite: the pairs are few, and so are the systems
    return float(quantile(freedom) * variance**0.5)


def counted(value: float, parts: NDArray[np.float64], share: float) -> float:
    """How much less a share of neighbors scatters by chance than those of random parts say: a factor of the width.

    parts: values of random parts, (S,); share: of the systems, in a part. From √share, where both are chance, to 1.
    """
    among = parts[~np.isnan(parts)].mean() if np.isfinite(parts).any() else math.nan
    if not value < among < 1:
        return 1.0
    scatter = value * (1 - value) / (among * (1 - among)) if value > 0 else 0.0
    return math.sqrt(min(1.0, max(share, scatter)))


def quantile(freedom: float) -> float:
    """How many deviations either side of a value hold LEVEL of Student's distribution."""
    from scipy.special import stdtrit  # slow to import, and rarely needed

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def around(value: float, half: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """The interval's ends, inside the range of the metric; rounding may put the value itself a little outside."""
    least, most = bounds
    return max(value - half, min(least, value)), min(value + half, max(most, value))
