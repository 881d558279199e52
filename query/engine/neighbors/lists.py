"""Neighbor lists that leave ties open: every list holds all systems that tie with its last.

Nothing decides which of several equally near systems are the nearest. Taking the first of the table
would make two models agree that have nothing in common, because both take the same; taking those
that the last bit of a float puts first would make a model disagree with its own rotated copy. So a
system has weights instead: 1 for each system that is strictly closer than the k-th neighbor, and
for those that tie with the k-th the free places over their number, so that the weights of a system
add up to k. A weight is the probability of being among the k nearest if ties are broken at random.
This is what midranks are in Spearman's correlation, and as in Kendall's tau-b (Biometrika 33, 239
(1945)) metrics divide by what a model gives with itself. The weights depend on the vectors alone,
not on the order of the systems, and the systems of a model can be permuted with their weights: the
permutation null is exact whatever the ties. (The codes of Huh et al. and DADApy take whatever their
sort puts first.)

Two systems tie if their distances differ by no more than the precision of the given vectors can
tell; see `query.engine.resolution`. Systems with the same vector share one list, which then holds
these systems too: whoever reads a list skips its owner. So a few distinct vectors take little
memory, however many systems have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from query.engine import kernels
from query.engine.undefined import Undefined

# Entries of all lists of a model, 12 bytes each. Untied lists of 50,000 systems have 1.6 million;
# 600 formulas of 50,000 isomers fit, as they share lists. What does not fit is a model for which
# nearly all systems are equally far.
LARGEST = 2**26


class Neighborhoods(NamedTuple):
    """Who is among the k nearest of every system, and with which weight.

    It is a NamedTuple, so that compiled kernels take it as it is.

    Attributes:
        who: The systems of all lists, (entries,), the closest first; the owner of a list is among
            them if other systems have the same vector.
        value: Inner products, or squared Euclidean distances, (entries,).
        start: Where the list of each system begins, (n,).
        sure: Where its entries of weight 1 end, (n,).
        stop: Where its entries of weight `share` end, (n,).
        share: The weight of the systems that tie with the k-th neighbor, (n,).
        plain: Whether a list holds k systems of weight 1 and not its owner, (n,). Most do, and
            kernels are much quicker with lists of equal length.
        near: The lists of plain systems, (n, k).
    """

    who: NDArray[np.int32]
    value: NDArray[np.float64]
    start: NDArray[np.int64]
    sure: NDArray[np.int64]
    stop: NDArray[np.int64]
    share: NDArray[np.float64]
    plain: NDArray[np.bool_]
    near: NDArray[np.int32]

    @property
    def tied(self) -> NDArray[np.bool_]:
        """Whether the k-th neighbor of a system ties with the next, (n,)."""
        return self.share < 1


@dataclass(frozen=True, slots=True)
class NeighborLists:
    """The neighbor lists of one model, one for each distinct vector, the closest first.

    Attributes:
        k: The number of neighbors, besides those that tie with the k-th.
        index: The systems of all lists, (entries,).
        value: Inner products, falling, or squared Euclidean distances, rising, (entries,).
        begin: Where each list begins, and where the last ends, (lists + 1,).
        label: The number of the list that each system has, (n,).
        slack: Two entries tie if their distances (or their products) are no further apart than
            slack + relative · distance, (lists,).
        relative: See `slack`; 0 for products.
        products: Whether values are inner products; else they are squared distances.
    """

    k: int
    index: NDArray[np.int32]
    value: NDArray[np.float64]
    begin: NDArray[np.int64]
    label: NDArray[np.int64]
    slack: NDArray[np.float64]
    relative: float
    products: bool

    def first(self, k: int) -> Neighborhoods:
        """Return the neighborhoods of the k nearest systems.

        Args:
            k: The number of neighbors, at most that of the lists.
        """
        n = len(self.label)
        index, value, begin, sure, share = self._cut(
            np.arange(n, dtype=np.int32), np.arange(len(self.slack)), k
        )
        start = begin[:-1]
        found = (
            start[self.label],
            (start + sure)[self.label],
            begin[1:][self.label],
            share[self.label],
        )
        alone = np.bincount(self.label, minlength=len(self.slack))[self.label] == 1
        plain = alone & (found[3] == 1) & (found[2] - found[0] == k)
        near = np.zeros((n, k), np.int32)
        near[plain] = index[found[0][plain, None] + np.arange(k)]
        return Neighborhoods(index, value, *found, plain, near)

    def among(self, rows: NDArray[np.int64], k: int) -> tuple[NeighborLists, NDArray[np.int64]]:
        """Return the lists among some of the systems, and which of them have fewer than k left.

        Args:
            rows: The systems, (m,) ascending.
            k: The number of neighbors.
        """
        number = np.full(len(self.label), -1, np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        kept, label = np.unique(self.label[rows], return_inverse=True)
        index, value, begin, sure, _ = self._cut(number, kept, k)
        slack = self.slack[kept]
        lists = NeighborLists(k, index, value, begin, label, slack, self.relative, self.products)
        return lists, np.flatnonzero(sure < 0)

    def with_lists(self, which: NDArray[np.int64], other: NeighborLists) -> NeighborLists:
        """Return these lists with some of them replaced.

        Args:
            which: The numbers of the lists that are replaced.
            other: The lists in their place, in their order.
        """
        lengths, source = np.diff(self.begin), np.arange(len(self.slack))
        source[which] = len(source) + np.arange(len(which))
        lengths[which] = np.diff(other.begin)
        starts = np.concatenate([self.begin[:-1], len(self.index) + other.begin[:-1]])[source]
        begin = offsets(lengths)
        place = np.repeat(starts - begin[:-1], lengths) + np.arange(begin[-1])
        index = np.concatenate([self.index, other.index])
        value = np.concatenate([self.value, other.value])
        return replace(self, index=index[place], value=value[place], begin=begin)

    def _cut(
        self, number: NDArray[np.int32], which: NDArray[np.int64], k: int
    ) -> tuple[
        NDArray[np.int32],
        NDArray[np.float64],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.float64],
    ]:
        """Return index, value, begin, sure and share of lists; see `kernels.cut_lists`."""
        owner = np.full(len(self.slack), -1, np.int32)
        named = np.flatnonzero(number >= 0)
        owner[self.label[named]] = number[named]
        room = int(np.diff(self.begin)[which].sum())
        index, value = np.empty(room, np.int32), np.empty(room)
        length, sure = np.empty(len(which), np.int64), np.empty(len(which), np.int64)
        share = np.empty(len(which))
        given = (self.index, self.value, self.begin, owner, number, which, k)
        ties = (self.slack, self.relative, self.products)
        end = kernels.cut_lists(*given, *ties, index, value, length, sure, share)
        return index[:end].copy(), value[:end].copy(), offsets(length), sure, share


def expand(
    lists: NeighborLists,
    own: NDArray[np.float64],
    label: NDArray[np.int64],
    name: str,
    which: NDArray[np.int64] | None = None,
) -> NeighborLists:
    """Return lists of systems made of lists of distinct vectors.

    Args:
        lists: Lists of which the entries are distinct vectors.
        own: The value of each vector with itself, (vectors,).
        label: The vector that each system has, (n,).
        name: How reasons call the model.
        which: The vectors that have these lists; all if None.

    Raises:
        Undefined: So many systems tie that the lists would not fit in memory.
    """
    which = np.arange(len(own)) if which is None else which
    sizes = np.bincount(label, minlength=len(own))
    members = np.argsort(label, kind="stable").astype(np.int32)
    given = (lists.index, lists.value, lists.begin, which, own, members, offsets(sizes), lists.k)
    ties = (lists.slack, lists.relative, lists.products)
    length = np.empty(len(which), np.int64)
    kernels.expand_lists(*given, *ties, length, np.empty(0, np.int32), np.empty(0), length)
    begin = offsets(length)
    require_room(int(begin[-1]), name, len(own))
    index, value = np.empty(begin[-1], np.int32), np.empty(begin[-1])
    kernels.expand_lists(*given, *ties, begin, index, value, length)
    return replace(lists, index=index, value=value, begin=begin, label=label)


def require_room(entries: int, name: str, distinct: int) -> None:
    """Refuse lists that would not fit in memory, as so many systems tie.

    Args:
        entries: The number of their entries.
        name: How reasons call the model.
        distinct: The number of its distinct vectors.

    Raises:
        Undefined: There are more than LARGEST.
    """
    if entries > LARGEST:
        raise Undefined(
            f"the {distinct} distinct vectors of {name} tie so often at their k-th neighbor that "
            f"its lists exceed {LARGEST} entries: choose fewer systems, or a metric without "
            "neighbors"
        )


def offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where lists begin, and where the last one ends, (lists + 1,).

    Args:
        lengths: The length of each list, (lists,).
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
