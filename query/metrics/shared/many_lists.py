"""What many models' neighbor lists share under shuffled pairings, found for all models at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import threads
from query.engine.kernels.many_lists import count_shared, mark_lists, sum_places_of_all
from query.engine.neighbors.lists import Neighborhoods
from query.engine.pairings import AnyOrders
from query.metrics.shared.many_pairs import Stacked, part_of, stack
from query.metrics.shared.result import Pair

_DECIMALS = 12  # of the largest distance, to which two distances are equal
_WORD = 64  # systems, each a bit


def stack_lists(lists: Iterable[Neighborhoods]) -> Stacked:
    """Return the neighborhoods of some models for kernels that do not ask who is near both ways.

    Args:
        lists: The neighborhoods of each model.
    """
    return stack([(each, np.zeros(len(each.who), np.uint8)) for each in lists])


def shared_of_groups(a: Stacked, b: Stacked, orders: AnyOrders) -> NDArray[np.float64]:
    """Return what `kernels.sum_shared` computes, for all pairs of two groups.

    A pairing of two models takes n²/64 steps, so it suits up to a few thousand systems.

    Args:
        a: The first models.
        b: The second models.
        orders: The pairings, (B, n).

    Returns:
        The sums, (B, first models, second models).
    """
    n, shape = orders.shape[1], (a.start.shape[1], b.start.shape[1])
    sure, all_of_them = np.zeros((2, n, shape[1], -(-n // _WORD)), np.uint64)
    mark_lists(b, sure, all_of_them)
    sums = np.empty((len(orders), *shape))

    def work(part: slice) -> None:
        counts = np.empty(shape, np.int64)
        for p in range(part.start, part.stop):
            order = np.asarray(orders[p], np.int32)
            count_shared(a, b, sure, all_of_them, order, counts, sums[p])

    threads.each(work, threads.parts(len(orders), 1))
    return sums


def rank_all(x: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the place of each of some systems among the neighbors of every other, (m, m).

    Args:
        x: The normalized vectors of a model, (n, d) float64.
        rows: The systems, (m,).
    """
    few = x[torch.from_numpy(rows)]
    distances = torch.cdist(few, few, compute_mode="donot_use_mm_for_euclid_dist")
    distances = torch.round(distances / distances.amax(), decimals=_DECIMALS).fill_diagonal_(-1.0)
    ordered = distances.sort(dim=1).values
    below = torch.searchsorted(ordered, distances)
    within = torch.searchsorted(ordered, distances, right=True)
    # Ties share the mean of their places. The system itself is the first, and not counted.
    places: NDArray[np.float64] = ((below + within - 1).double() / 2).numpy()
    return places


def places_of_all(
    lists: Stacked, places: NDArray[np.float64], orders: AnyOrders
) -> NDArray[np.float64]:
    """Return what `kernels.sum_places` computes, for the lists of many models.

    Args:
        lists: The models.
        places: The place of every system among the neighbors of every other, (n, n).
        orders: The pairings, (B, n).

    Returns:
        The sums, (B, models).
    """
    sums = np.empty((len(orders), lists.start.shape[1]))

    def work(part: slice) -> None:
        for p in range(part.start, part.stop):
            sum_places_of_all(lists, places, np.asarray(orders[p], np.int32), sums[p])

    threads.each(work, threads.parts(len(orders), 1))
    return sums


def find_by_second(
    pairs: Sequence[Pair], compute: Callable[[Sequence[int], int], NDArray[np.float64]]
) -> dict[Pair, Callable[[], NDArray[np.float64]]]:
    """Return what finds something of many pairings, for all first models of a second one at once.

    Args:
        pairs: The pairs by the numbers of the models.
        compute: Finds it of some first models and a second one, (B, first models).

    Returns:
        Functions that return (B,); the first of a second model finds those of all its pairs.
    """
    firsts: dict[int, list[int]] = {}
    for a, b in pairs:
        firsts.setdefault(b, []).append(a)
    found: dict[Pair, Callable[[], NDArray[np.float64]]] = {}
    for b, some in firsts.items():
        whole = cache(partial(compute, tuple(some), b))
        found |= {(a, b): partial(part_of, whole, x) for x, a in enumerate(some)}
    return found
