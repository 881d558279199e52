"""How far a value would move with other systems of the same kind: an interval by subsampling.

S subsets of m of the n systems are drawn without replacement; the deviation of their values, times √(m / (n − m)), is
that of the value itself (delete-d jackknife: Shao & Wu, Ann. Stat. 17, 1176 (1989)). Drawing with replacement, the
bootstrap, would make duplicates, which neighbours and distances of 0 take for structure. The interval is the value
plus and minus 1.96 deviations: it says how the value scatters, not how it would differ for more systems.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DEVIATIONS = 1.959964  # either side of the value: 95 % of a normal distribution


def require_subsamples(count: int) -> None:
    """Raises ValueError on a number of subsamples that gives no deviation; 0 asks for none."""
    if count < 0 or count == 1:
        raise ValueError(f"subsamples = {count}, expected 0, or 2 and more")


def subsets(n: int, size: int, count: int, seed: int) -> NDArray[np.int64]:
    """`count` random subsets of `size` of n systems, (count, size), rows ascending, always the same for a seed."""
    generator = np.random.default_rng(seed)
    return np.stack([np.sort(generator.choice(n, size, replace=False)) for _ in range(count)])


def deviation(values: NDArray[np.float64], n: int, size: int) -> float | None:
    """The deviation of a value from those of its subsets, (S,); None where fewer than two are defined."""
    defined = values[~np.isnan(values)]
    if len(defined) < 2:
        return None
    return float(defined.std(ddof=1) * (size / (n - size)) ** 0.5)
