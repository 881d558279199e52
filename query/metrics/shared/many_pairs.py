"""Nulls of many pairs of models at once, from what their neighbor lists share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine import threads
from query.engine.comparison import Comparison
from query.engine.kernels.many_neighbors import add_shared, find_shared, sum_shared
from query.engine.neighbors.lists import Neighborhoods
from query.engine.pairings import AnyOrders
from query.metrics.shared.result import Pair

SIDE = 16  # models of a group at most, as each has a bit
_ENTRIES = 2**22  # of the lists of a group; some 17 bytes each
_SHARED = 2**21  # entries that all pairs of two groups share by chance at most; 16 bytes each
_WORTH = 4  # pairs, from which on it is quicker to find what they share together
_SUMMED = 2**22  # sums of rows and columns of all pairs of two groups at most; 8 bytes each
_ROOM = 2  # times what pairs share by chance, for which there is room at first


class NullsTogether(ABC):
    """A metric that finds the nulls of many pairs quicker together."""

    @abstractmethod
    def nulls(
        self,
        comparison: Comparison,
        pairs: Sequence[Pair],
        estimator: str | None,
        permutations: Tensor,
    ) -> Mapping[Pair, Callable[[], Tensor]]:
        """Return what finds the nulls of pairs, of which one finds those of a whole group.

        Args:
            comparison: The comparison.
            pairs: The pairs of models by their numbers, of which each has a value.
            estimator: One of the metric's estimators.
            permutations: The pairings, (B, n).

        Returns:
            For some of the pairs, or none, a function that returns what `Metric.null` does, to the
            bit, and raises what it raises.
        """


class Stacked(NamedTuple):
    """The neighborhoods of some models, for kernels.

    Attributes:
        who: The systems of all lists of all models, (entries,).
        value: See `Neighborhoods`, (entries,).
        mutual: See `kernels.reciprocated`, (entries,).
        start: Where the list of each system of each model begins, (n, M).
        sure: Where its entries of weight 1 end, (n, M).
        stop: Where it ends, (n, M).
        share: The weight of the systems that tie with the k-th neighbor, (n, M).
        plain: See `Neighborhoods`, (n, M).
    """

    who: NDArray[np.int32]
    value: NDArray[np.float64]
    mutual: NDArray[np.uint8]
    start: NDArray[np.int64]
    sure: NDArray[np.int64]
    stop: NDArray[np.int64]
    share: NDArray[np.float64]
    plain: NDArray[np.bool_]


def stack(models: Sequence[tuple[Neighborhoods, NDArray[np.uint8]]]) -> Stacked:
    """Return the neighborhoods of some models, those of a system one after the other.

    So what a pairing asks of a system lies together in memory. Lists that systems share stay as
    they are, since copies of them could take far more.

    Args:
        models: Of each the neighborhoods, and what `kernels.reciprocated` found for them.
    """
    near = [lists for lists, _ in models]
    begins = np.cumsum([0, *(len(lists.who) for lists in near)])
    start, sure, stop = (
        np.stack([getattr(lists, name) for lists in near], axis=1) + begins[:-1]
        for name in ("start", "sure", "stop")
    )
    shared = [len(np.unique(lists.start)) < len(lists.start) for lists in near]
    lengths = np.where(shared, 0, stop - start).ravel()
    ends = np.cumsum(lengths)
    where = np.repeat(start.ravel() - (ends - lengths), lengths) + np.arange(ends[-1])
    kept = [np.arange(begins[m], begins[m + 1]) for m in np.flatnonzero(shared)]
    moved = (ends - lengths).reshape(start.shape) - start
    room = ends[-1]
    for m, whole in zip(np.flatnonzero(shared), kept, strict=True):
        moved[:, m] = room - begins[m]
        room += len(whole)
    index = np.concatenate([where, *kept])
    return Stacked(
        np.concatenate([lists.who for lists in near])[index],
        np.concatenate([lists.value for lists in near])[index],
        np.concatenate([mutual for _, mutual in models])[index],
        start + moved,
        sure + moved,
        stop + moved,
        np.stack([lists.share for lists in near], axis=1),
        np.stack([lists.plain for lists in near], axis=1),
    )


def groups(
    pairs: Sequence[Pair], near: Mapping[int, Neighborhoods]
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield groups of models such that most of the pairs between both are asked for.

    Pairs that no two groups have are found one by one: if there are few of them, or if so many
    systems tie that they share much by chance.

    Args:
        pairs: The pairs by the numbers of the models.
        near: The neighborhoods of their models.

    Yields:
        The first models and the second models.
    """
    n = max((len(lists.start) for lists in near.values()), default=1)
    sizes = {i: int((lists.stop - lists.start).sum()) for i, lists in near.items()}
    side = max(1, min(SIDE, _ENTRIES // max(sizes.values(), default=1)))
    for some, others in blocks(pairs, side):
        shared = sum(sizes[a] for a in some) * sum(sizes[b] for b in others) / n**2
        if shared <= _SHARED:
            yield some, others


def blocks(pairs: Sequence[Pair], side: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield groups of models such that at least half of the pairs between both are asked for.

    Args:
        pairs: The pairs by the numbers of the models.
        side: Models of a group at most.

    Yields:
        The first models and the second models.
    """
    wanted = set(pairs)
    firsts = sorted({a for a, _ in wanted})
    for begin in range(0, len(firsts), side):
        some = firsts[begin : begin + side]
        seconds = sorted({b for a, b in wanted if a in some})
        for start in range(0, len(seconds), side):
            others = seconds[start : start + side]
            asked = sum((a, b) in wanted for a in some for b in others)
            if asked >= max(_WORTH, len(some) * len(others) / 2):
                yield some, others


def unbiased_terms_of_groups(a: Stacked, b: Stacked, orders: AnyOrders) -> NDArray[np.float64]:
    """Return what `kernels.unbiased_terms` computes, for all pairs of two groups.

    Args:
        a: The first models.
        b: The second models.
        orders: The pairings, (B, n).

    Returns:
        The terms, (B, first models, second models, 3).
    """
    n, shape = orders.shape[1], (a.start.shape[1], b.start.shape[1])
    terms = np.empty((len(orders), *shape, 3))
    few = 4 * n * shape[0] * shape[1] <= _SUMMED
    work = partial(_sum_terms if few else _find_terms, a, b, orders, terms)
    threads.each(work, threads.parts(len(orders), 1))
    return terms


def _sum_terms(
    a: Stacked, b: Stacked, orders: AnyOrders, terms: NDArray[np.float64], part: slice
) -> None:
    """Find the terms of some pairings, with the sums of all pairs side by side."""
    n, shape = orders.shape[1], terms.shape[1:3]
    bits, places = np.zeros(n, np.uint16), np.empty((n, shape[1]), np.int32)
    rows, columns, own = np.empty((n, *shape, 2)), np.empty((n, *shape, 2)), np.empty(shape)
    for p in range(part.start, part.stop):
        order = np.asarray(orders[p], np.int32)
        sum_shared(a, b, order, bits, places, rows, columns, own, terms[p])


def _find_terms(
    a: Stacked, b: Stacked, orders: AnyOrders, terms: NDArray[np.float64], part: slice
) -> None:
    """Find the terms of some pairings, one pair after the other: of many systems all share few."""
    n, count = orders.shape[1], terms.shape[2]
    longest = [int((side.stop - side.start).sum()) for side in (a, b)]
    chance = longest[0] * longest[1] // n**2
    bits, places = np.zeros(n, np.uint16), np.empty((n, count), np.int32)
    sums, hits = np.empty((4, n)), np.empty((4, _ROOM * chance + 64 * count), np.int32)
    for p in range(part.start, part.stop):
        order = np.asarray(orders[p], np.int32)
        while (found := find_shared(a, b, order, bits, places, hits)) < 0:
            hits = np.empty((4, 2 * hits.shape[1]), np.int32)
            bits.fill(0)
        add_shared(a, b, order, hits, found, sums, terms[p])


def find_in_groups(
    pairs: Sequence[Pair],
    near: Mapping[int, Neighborhoods],
    compute: Callable[[Sequence[int], Sequence[int]], NDArray[np.float64]],
) -> dict[Pair, Callable[[], NDArray[np.float64]]]:
    """Return what finds something of many pairings for those pairs that groups have.

    Args:
        pairs: The pairs by the numbers of the models.
        near: The neighborhoods of their models.
        compute: Finds it of all pairs of two groups, (B, first models, second models, …).

    Returns:
        Functions that return (B, …); the first of a group finds those of all its pairs.
    """
    found: dict[Pair, Callable[[], NDArray[np.float64]]] = {}
    for firsts, seconds in groups(pairs, near):
        whole = cache(partial(compute, firsts, seconds))
        for x, a in enumerate(firsts):
            for y, b in enumerate(seconds):
                found[a, b] = partial(part_of, whole, x, y)
    return found


def part_of(whole: Callable[[], NDArray[np.float64]], *place: int) -> NDArray[np.float64]:
    """Return what was found of one pair, (B, …).

    Args:
        whole: Finds it of a group, (B, …), with axes for the places of models after the first.
        place: The places of the pair's models in it.
    """
    where: tuple[Any, ...] = (slice(None), *place)
    return np.ascontiguousarray(whole()[where])
