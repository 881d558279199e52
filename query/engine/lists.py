"""Neighbor lists that leave ties open: every list holds all systems that tie with its last.

Which of several equally near systems are the nearest is nobody's to say. To take the first of the table makes two
models agree that have nothing in common, as both take the same; to take those that a float's last bit puts first makes
a model disagree with its own rotated copy. So a system has weights instead: 1 for what is strictly closer than its
k-th neighbor, and for those that tie with the k-th the free places over their number, so that the weights of a system
add up to k. A weight is the probability to be among the k nearest where ties are broken at random. This is what
midranks are in Spearman's correlation, and as in Kendall's tau-b (Biometrika 33, 239 (1945)) metrics divide by what a
model gives with itself. The weights depend on the vectors alone, not on the order of the systems, and the systems of a
model can be permuted with their weights: so the permutation null is exact whatever the ties. (Huh et al.'s and
DADApy's codes take whatever their sort leaves first.)

Two systems tie where their distances differ by no more than the precision of the vectors as they were given can tell;
see `resolution`. Systems with the same vector share one list, which then holds themselves too: who reads a list skips
its owner. So few distinct vectors take little memory, however many systems have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from query.engine import kernels
from query.engine.undefined import Undefined

# Entries of all lists of a model, 12 bytes each. Untied lists of 50,000 systems have 1.6 million; 600 formulas of
# 50,000 isomers fit as they share lists. What does not fit is a model for which nearly all systems are equally far.
LARGEST = 2**26


class Members(NamedTuple):
    """Who is among the k nearest of every system, and how surely. A NamedTuple, so that kernels take it as it is."""

    who: NDArray[
        np.int32
    ]  # (entries,), best first; with the system itself where others have the same vector
    value: NDArray[np.float64]  # (entries,): inner products, or squared Euclidean distances
    start: NDArray[np.int64]  # (n,): where the list of a system begins
    sure: NDArray[np.int64]  # (n,): and where those end that have weight 1
    stop: NDArray[np.int64]  # (n,): and where those end that have weight `share`
    share: NDArray[np.float64]  # (n,)
    # Most systems have no ties and a list of their own. Kernels are much quicker where all lists are equally long.
    plain: NDArray[
        np.bool_
    ]  # (n,): whether the list holds k systems, surely, and not the system itself
    near: NDArray[np.int32]  # (n, k): the lists of plain systems

    @property
    def tied(self) -> NDArray[np.bool_]:
        """Whether the k-th neighbor of a system ties with the next, (n,)."""
        return self.share < 1


@dataclass(frozen=True, slots=True)
class Lists:
    """Neighbor lists of one model, one for each distinct vector, the closest first."""

    k: int
    index: NDArray[np.int32]  # (entries,)
    value: NDArray[
        np.float64
    ]  # (entries,): inner products, falling; or squared Euclidean distances, rising
    begin: NDArray[np.int64]  # (lists + 1,)
    label: NDArray[np.int64]  # (n,): which list a system has
    # Values whose roots (distances) or themselves (products) are no further apart than slack + relative · root tie.
    slack: NDArray[np.float64]  # (lists,)
    relative: float
    products: bool  # inner products, else squared distances

    def first(self, k: int) -> Members:
        """Return the lists for k neighbors or fewer, with their weights."""
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
        return Members(index, value, *found, plain, near)

    def among(self, rows: NDArray[np.int64], k: int) -> tuple[Lists, NDArray[np.int64]]:
        """Return the lists among some of the systems, and which of these lists are left with fewer than k.

        rows: (m,), ascending.
        """
        number = np.full(len(self.label), -1, np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        kept, label = np.unique(self.label[rows], return_inverse=True)
        index, value, begin, sure, _ = self._cut(number, kept, k)
        lists = Lists(k, index, value, begin, label, self.slack[kept], self.relative, self.products)
        return lists, np.flatnonzero(sure < 0)

    def with_lists(self, which: NDArray[np.int64], other: Lists) -> Lists:
        """Return these lists with those of numbers `which` replaced by the lists of `other`, in their order."""
        lengths, source = np.diff(self.begin), np.arange(len(self.slack))
        source[which] = len(source) + np.arange(len(which))
        lengths[which] = np.diff(other.begin)
        starts = np.concatenate([self.begin[:-1], len(self.index) + other.begin[:-1]])[source]
        begin = offsets(lengths)
        place = np.repeat(starts - begin[:-1], lengths) + np.arange(begin[-1])
        index, value = (
            np.concatenate([self.index, other.index]),
            np.concatenate([self.value, other.value]),
        )
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
        """Return index, value, begin, number of sure members (−1 where fewer than k are left) and share of lists."""
        owner = np.full(len(self.slack), -1, np.int32)
        named = np.flatnonzero(number >= 0)
        owner[self.label[named]] = number[named]
        room = int(np.diff(self.begin)[which].sum())
        index, value = np.empty(room, np.int32), np.empty(room)
        length, sure, share = (
            np.empty(len(which), np.int64),
            np.empty(len(which), np.int64),
            np.empty(len(which)),
        )
        how = (self.slack, self.relative, self.products)
        end = kernels.cut_lists(
            self.index,
            self.value,
            self.begin,
            owner,
            number,
            which,
            k,
            *how,
            index,
            value,
            length,
            sure,
            share,
        )
        return index[:end].copy(), value[:end].copy(), offsets(length), sure, share


def expand(
    lists: Lists,
    own: NDArray[np.float64],
    label: NDArray[np.int64],
    name: str,
    which: NDArray[np.int64] | None = None,
) -> Lists:
    """Return lists of systems from lists of distinct vectors.

    own: (vectors,) value of each vector with itself. label: (n,) which vector a system has. which: the vectors that
    have these lists; all where None. Raises Undefined.
    """
    which = np.arange(len(own)) if which is None else which
    sizes = np.bincount(label, minlength=len(own))
    members = np.argsort(label, kind="stable").astype(np.int32)
    given = (lists.index, lists.value, lists.begin, which, own, members, offsets(sizes), lists.k)
    how = (lists.slack, lists.relative, lists.products)
    length = np.empty(len(which), np.int64)
    kernels.expand_lists(*given, *how, length, np.empty(0, np.int32), np.empty(0), length)
    begin = offsets(length)
    require_room(int(begin[-1]), name, len(own))
    index, value = np.empty(begin[-1], np.int32), np.empty(begin[-1])
    kernels.expand_lists(*given, *how, begin, index, value, length)
    return replace(lists, index=index, value=value, begin=begin, label=label)


def require_room(entries: int, name: str, distinct: int) -> None:
    """Raises Undefined where so many systems tie that their lists would not fit in memory."""
    if entries > LARGEST:
        raise Undefined(
            f"the {distinct} distinct vectors of {name} tie so often at their k-th neighbor that its lists exceed "
            f"{LARGEST} entries: choose fewer systems, or a metric without neighbors"
        )


def offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where lists of these lengths begin, and where the last ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
