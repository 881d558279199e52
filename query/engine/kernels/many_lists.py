"""Sums of `shared_neighbors` over the lists of many models and one pairing of their systems.

The models are given as `Stacked` (see `query.metrics.shared.many_pairs`). Sums are added up in the
order of the kernels of two models, and so are the same to the bit.
"""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, inlined

_ONE, _TWO, _FOUR, _LAST = (np.uint64(shift) for shift in (1, 2, 4, 56))
_PAIRS, _QUARTERS, _BYTES, _SUM = (
    np.uint64(int(byte * 8, 16)) for byte in ("55", "33", "0f", "01")
)
_IN_WORD, _SHIFT = np.int64(63), np.int64(6)  # 64 systems per word


@inlined
def _count(word):
    """Return how many bits of a word are 1; LLVM makes one instruction of it."""
    word -= (word >> _ONE) & _PAIRS
    word = (word & _QUARTERS) + ((word >> _TWO) & _QUARTERS)
    return (((word + (word >> _FOUR)) & _BYTES) * _SUM) >> _LAST


@inlined
def _has(words, q):
    return (words[q >> _SHIFT] >> np.uint64(q & _IN_WORD)) & _ONE


@compiled
def mark_lists(lists, sure, all_of_them):
    """Mark the systems of all lists as bits.

    Args:
        lists: The lists of the models.
        sure: Receives a bit per system that is surely in a list, (n, A, words) uint64, 0 at first.
        all_of_them: Receives a bit per system in a list, of the same shape.
    """
    for i in range(lists.start.shape[0]):
        for x in range(lists.start.shape[1]):
            for s in range(lists.start[i, x], lists.stop[i, x]):
                word, bit = lists.who[s] >> 6, _ONE << np.uint64(lists.who[s] & 63)
                all_of_them[i, x, word] |= bit
                if s < lists.sure[i, x]:
                    sure[i, x, word] |= bit


@compiled
def count_shared(a, b, sure, all_of_them, order, counts, sums):
    """Compute `sum_shared` of `shared_neighbors` for all pairs of models.

    Args:
        a: The lists of the first models.
        b: The lists of the other models.
        sure: What `mark_lists` marked for them.
        all_of_them: See there.
        order: The pairing, (n,).
        counts: Scratch, (A, B) int64.
        sums: Receives the sums, (A, B).
    """
    count, words = b.start.shape[1], sure.shape[2]
    near = np.empty(words, np.uint64)
    counts[:] = 0
    sums[:] = 0.0
    for i in range(len(order)):
        p = order[i]
        for x in range(a.start.shape[1]):
            near[:] = 0
            for s in range(a.start[i, x], a.stop[i, x]):
                q = np.int64(order[a.who[s]])
                near[q >> _SHIFT] |= _ONE << np.uint64(q & _IN_WORD)
            own = np.int64(p)  # the system itself does not count
            near[own >> _SHIFT] &= ~(_ONE << np.uint64(own & _IN_WORD))
            for y in range(count):
                if a.plain[i, x] and b.plain[p, y]:
                    found = np.uint64(0)
                    for w in range(words):
                        found += _count(near[w] & all_of_them[p, y, w])
                    counts[x, y] += np.int64(found)
                else:
                    of_b = sure[p, y], all_of_them[p, y], b.share[p, y]
                    sums[x, y] += _sum_tied(a, x, i, order, of_b)
    sums += counts


@inlined
def _sum_tied(a, x, i, order, of_b):
    """Return what row i of a model, with its ties, shares with a row of another."""
    sure, all_of_them, share = of_b
    found = 0.0
    for s in range(a.start[i, x], a.stop[i, x]):
        q = np.int64(order[a.who[s]])
        if a.who[s] != i and _has(all_of_them, q):
            weight = 1.0 if s < a.sure[i, x] else a.share[i, x]
            found += weight * (1.0 if _has(sure, q) else share)
    return found


@compiled
def sum_places_of_all(lists, places, order, sums):
    """Compute `sum_places` of `shared_neighbors` for the lists of many models.

    A row of places stays in the cache for all of them.

    Args:
        lists: The lists of the models.
        places: See `sum_places`.
        order: The pairing, (n,).
        sums: Receives the sums, (A,).
    """
    sums[:] = 0.0
    for i in range(len(order)):
        row = places[order[i]]
        for x in range(len(sums)):
            sure, rest = 0.0, 0.0
            for s in range(lists.start[i, x], lists.stop[i, x]):
                j = lists.who[s]
                if j != i:
                    if s < lists.sure[i, x]:
                        sure += row[order[j]]
                    else:
                        rest += row[order[j]]
            sums[x] += sure + lists.share[i, x] * rest
