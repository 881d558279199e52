"""Do kinds of pairs of models differ? Means over pairs, tested by permuting the models.

Pairs are not independent: each model is in n − 1 of them. So models, not pairs, change places, rows
and columns of the matrix of values together (Mantel, Cancer Res. 27, 209 (1967)), while the kinds
of places stay. The mean over one kind of pairs less that over another is then a statistic as in
MRPP and ANOSIM (Clarke, Aust. J. Ecol. 18, 117 (1993); Legendre and Legendre, Numerical Ecology,
3rd ed., 2012, chapter 10). To allow for another grouping, only those permutations are made that
keep it: models change places within their group, and groups of one size with each other (restricted
permutation; Anderson and ter Braak, J. Stat. Comput. Simul. 73, 85 (2003)).

The order as it is is always among the permutations, so that no p-value is 0 (Phipson and Smyth,
Stat. Appl. Genet. Mol. Biol. 9, 39 (2010)).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1999  # of the bootstrap; percentiles then change little with the seed
CHUNK = 10**6  # numbers held at once
ROUNDING = 1e-12  # of the largest value: means that differ by less are equal

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]


def orders(groups: Sequence[Sequence[int]], count: int, seed: int) -> Numbers:
    """Return orders of the models that keep their groups, the order as it is among them.

    Groups of one size may change places.

    Args:
        groups: The models of each group, 0 to n − 1 each once.
        count: All orders are returned if there are no more than this; else so many at random, after
            the order as it is.
        seed: The seed of random orders.

    Returns:
        The orders, (B, n).
    """
    n = sum(map(len, groups))
    classes = [list(members) for _, members in itertools.groupby(sorted(groups, key=len), key=len)]
    total = math.prod(math.factorial(len(group)) for group in groups)
    total *= math.prod(math.factorial(len(members)) for members in classes)
    if total <= count:
        return np.array(list(_all_orders(classes, n)), dtype=np.int64).reshape(total, n)
    generator = np.random.default_rng(seed)
    found = np.tile(np.arange(n), (count + 1, 1))
    for order in found[1:]:
        for members in classes:
            for to, come in zip(members, generator.permutation(len(members)), strict=True):
                order[to] = generator.permutation(members[come])
    return found


def _all_orders(classes: Sequence[Sequence[Sequence[int]]], n: int) -> Iterator[Numbers]:
    within = [[list(itertools.permutations(group)) for group in members] for members in classes]
    swapped = [list(itertools.permutations(range(len(members)))) for members in classes]
    for places in itertools.product(*swapped):
        moved = [
            (to, within[c][come])
            for c, members in enumerate(classes)
            for to, come in zip(members, places[c], strict=True)
        ]
        for chosen in itertools.product(*(ways for _, ways in moved)):
            order = np.arange(n)
            for (to, _), group in zip(moved, chosen, strict=True):
                order[list(to)] = group
            yield order


def p_value(
    values: Values, kinds: Numbers, kind: int, other: int, moved: Numbers
) -> tuple[float, float]:
    """Return how often the mean over one kind of pairs exceeds that over another by as much.

    Args:
        values: The values of all pairs, (n, n) symmetric; the diagonal has no meaning.
        kinds: The kinds of all pairs, (n, n) symmetric; both kinds occur.
        kind: The kind of which the mean is expected to be larger.
        other: The kind with which it is compared.
        moved: The orders, (B, n); see `orders`.

    Returns:
        The p-value, and the smallest that it could be: the part of the orders that leave both kinds
        of pairs as they are.
    """
    rows, columns = np.triu_indices(len(values), 1)
    kept = kinds[rows, columns]
    masks = np.stack([kept == kind, kept == other])
    weights = masks[0] / masks[0].sum() - masks[1] / masks[1].sum()
    observed = values[rows, columns] @ weights
    scale = ROUNDING * np.abs(values[rows, columns]).max()
    as_large = same = 0
    for part in np.array_split(moved, max(1, moved.shape[0] * rows.size // CHUNK)):
        a, b = part[:, rows], part[:, columns]
        as_large += int(np.count_nonzero(values[a, b] @ weights >= observed - scale))
        theirs = kinds[a, b]
        unchanged = ((theirs == kind) == masks[0]) & ((theirs == other) == masks[1])
        same += int(np.count_nonzero(unchanged.all(axis=1)))
    return as_large / len(moved), same / len(moved)


def mean_interval(values: Values, mask: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean over some pairs, by a bootstrap over models.

    The ends are percentiles. A model that is drawn twice makes no pair with itself. Resamples
    without any of the pairs are left out.

    Args:
        values: The values of all pairs, (n, n) symmetric.
        mask: Which pairs, (n, n) symmetric; some are.
        seed: The seed.
    """
    rows, columns = np.triu_indices(len(values), 1)
    inside = mask[rows, columns]
    rows, columns = rows[inside], columns[inside]
    n = len(values)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    weights = drawn[:, rows] * drawn[:, columns]
    total = weights.sum(axis=1)
    means = (weights @ values[rows, columns])[total > 0] / total[total > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
