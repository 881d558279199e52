"""Kernels that sum over the neighbors that two models share, for one pairing of their systems.

`a` and `b` are `Neighborhoods` of two models over n systems. Row i of `a` is paired with row
order[i] of `b`; `order` is (n,) int64. `place` is scratch of shape (n,) int64, all −1 at first.
"""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled


@compiled
def _turned(lists, first):
    """Return the lists that each system is in.

    These are three arrays: where the lists of a system end, where each list begins, and how surely
    the system is in it.
    """
    n, entries = lists.start.shape[0], lists.who.shape[0]
    ends = np.zeros(n + 1, np.int64)
    for i in range(n):
        if first[lists.start[i]] == i:
            for s in range(lists.start[i], lists.stop[i]):
                ends[lists.who[s] + 1] += 1
    ends = np.cumsum(ends)
    has, how, at = np.empty(entries, np.int64), np.empty(entries, np.uint8), ends[:-1].copy()
    for i in range(n):
        if first[lists.start[i]] == i:
            for s in range(lists.start[i], lists.stop[i]):
                j = lists.who[s]
                has[at[j]], how[at[j]] = lists.start[i], 1 if s < lists.sure[i] else 2
                at[j] += 1
    return ends, has, how


@compiled
def reciprocated(lists, out):
    """Find out for each entry whether the neighbor counts the list's owner as its neighbor.

    Args:
        lists: The neighborhoods; systems that share a list are in the same lists.
        out: Receives 0 for no, 1 for surely, 2 for among those tied, (entries,) uint8.
    """
    n, entries = lists.start.shape[0], lists.who.shape[0]
    first = np.full(entries + 1, -1, np.int64)  # by where a list begins: the first of its owners
    for i in range(n - 1, -1, -1):
        first[lists.start[i]] = i
    ends, has, how = _turned(lists, first)
    mark = np.zeros(entries + 1, np.uint8)
    for i in range(n):
        if first[lists.start[i]] == i:
            for e in range(ends[i], ends[i + 1]):
                mark[has[e]] = how[e]
            for s in range(lists.start[i], lists.stop[i]):
                out[s] = mark[lists.start[lists.who[s]]]
            for e in range(ends[i], ends[i + 1]):
                mark[has[e]] = 0


@compiled
def _tied_terms(a, a_mutual, b, b_mutual, order, place, i, row_sums, column_sums):
    """Add row i, with its ties, to `unbiased_terms`; return its part of the trace."""
    p, beyond = order[i], a.near.size
    for t in range(b.start[p], b.stop[p]):
        place[b.who[t]] = beyond + t
    trace = 0.0
    for s in range(a.start[i], a.stop[i]):
        j = a.who[s]
        t = place[order[j]] - beyond
        if b.start[p] <= t < b.stop[p] and j != i:
            weight = (1.0 if s < a.sure[i] else a.share[i]) * (1.0 if t < b.sure[p] else b.share[p])
            left, right = a.value[s], b.value[t]
            row_sums[0, i] += weight * left
            row_sums[1, i] += weight * right
            column_sums[0, j] += weight * left
            column_sums[1, j] += weight * right
            if a_mutual[s] and b_mutual[t]:
                back = 1.0 if a_mutual[s] == 1 else a.share[j]
                back *= 1.0 if b_mutual[t] == 1 else b.share[order[j]]
                trace += weight * back * left * right
    return trace


@compiled
def unbiased_terms(a, a_mutual, b, b_mutual, order, place, terms):
    """Compute the three terms of Song's equation 5 for kernels times both models' weights.

    See `query/metrics/cknna.py`. K and L are the two models' kernels times the product of weights.

    Args:
        a: The neighborhoods of the first model.
        a_mutual: What `reciprocated` found for them, (entries,).
        b: The neighborhoods of the second model.
        b_mutual: What `reciprocated` found for them, (entries,).
        order: The pairing; see the module.
        place: Scratch; see the module.
        terms: Receives Σ K L over pairs that are neighbors both ways, Σ K · Σ L, and the products
            of row and column sums in both orders, (3,).
    """
    n, k = a.near.shape
    row_sums, column_sums = np.zeros((2, n)), np.zeros((2, n))
    near, other, plain, its_plain = a.near, b.near, a.plain, b.plain
    trace = 0.0
    for i in range(n):
        p = order[i]
        if not (plain[i] and its_plain[p]):
            trace += _tied_terms(a, a_mutual, b, b_mutual, order, place, i, row_sums, column_sums)
            continue
        base = i * k
        for t in range(k):
            place[other[p, t]] = base + t
        for s in range(k):
            j = near[i, s]
            t = place[order[j]] - base
            if 0 <= t < k:
                s_at, t_at = a.start[i] + s, b.start[p] + t
                left, right = a.value[s_at], b.value[t_at]
                row_sums[0, i] += left
                row_sums[1, i] += right
                column_sums[0, j] += left
                column_sums[1, j] += right
                if a_mutual[s_at] and b_mutual[t_at]:
                    back = 1.0 if a_mutual[s_at] == 1 else a.share[j]
                    back *= 1.0 if b_mutual[t_at] == 1 else b.share[order[j]]
                    trace += left * right * back
    crossed = 0.0
    for i in range(n):
        crossed += column_sums[0, i] * row_sums[1, i] + column_sums[1, i] * row_sums[0, i]
    terms[0] = trace
    terms[1] = row_sums[0].sum() * row_sums[1].sum()
    terms[2] = crossed


@compiled
def centered_products(a, a_mean, b, b_mean, order, place, terms):
    """Sum w v (K_ij − row mean)(L_ij − row mean) with both models' weights w and v.

    Args:
        a: The neighborhoods of the first model.
        a_mean: The mean of each row of its kernel K, (n,).
        b: The neighborhoods of the second model.
        b_mean: The mean of each row of its kernel L, (n,).
        order: The pairing; see the module.
        place: Scratch; see the module.
        terms: Receives the sum and the sum of absolute products, (2,).
    """
    total, size = 0.0, 0.0
    for i in range(a.start.shape[0]):
        p = order[i]
        start, stop = b.start[p], b.stop[p]
        for t in range(start, stop):
            place[b.who[t]] = t
        for s in range(a.start[i], a.stop[i]):
            t = place[order[a.who[s]]]
            if start <= t < stop and a.who[s] != i:
                weight = (1.0 if s < a.sure[i] else a.share[i]) * (
                    1.0 if t < b.sure[p] else b.share[p]
                )
                product = weight * (a.value[s] - a_mean[i]) * (b.value[t] - b_mean[p])
                total += product
                size += abs(product)
    terms[0] = total
    terms[1] = size


@compiled
def _sum_tied(a, b, order, place, i):
    """Return what row i, with its ties, adds to `sum_shared`."""
    p, beyond = order[i], a.near.size
    for t in range(b.start[p], b.stop[p]):
        place[b.who[t]] = beyond + t
    found = 0.0
    for s in range(a.start[i], a.stop[i]):
        t = place[order[a.who[s]]] - beyond
        if b.start[p] <= t < b.stop[p] and a.who[s] != i:
            found += (1.0 if s < a.sure[i] else a.share[i]) * (1.0 if t < b.sure[p] else b.share[p])
    return found


@compiled
def sum_shared(a, b, order, place):
    """Sum w_ij v_pq over all i and j, with p = order[i], q = order[j], w of `a` and v of `b`.

    Without ties this counts the pairs that are neighbors in both models.

    Args:
        a: The neighborhoods of the first model.
        b: The neighborhoods of the second model.
        order: The pairing; see the module.
        place: Scratch; see the module.

    Returns:
        The sum.
    """
    n, k = a.near.shape
    near, other, plain, its_plain = a.near, b.near, a.plain, b.plain
    found, weighted = 0, 0.0
    for i in range(n):
        p = order[i]
        if not (plain[i] and its_plain[p]):
            weighted += _sum_tied(a, b, order, place, i)
            continue
        partner = other[p]
        base = i * k
        for t in range(k):
            place[partner[t]] = base + t
        for s in range(k):
            t = place[order[near[i, s]]] - base
            found += 0 <= t < k
    return found + weighted


@compiled
def sum_places(lists, places, order):
    """Sum over all i and j the weight of j in the list of i times places[order[i], order[j]].

    Args:
        lists: The neighborhoods that have the weights.
        places: The place of every system among the neighbors of every other, (n, n).
        order: The pairing; see the module.

    Returns:
        The sum.
    """
    found = 0.0
    for i in range(lists.start.shape[0]):
        row = places[order[i]]
        sure, rest = 0.0, 0.0
        for s in range(lists.start[i], lists.stop[i]):
            j = lists.who[s]
            if j != i:
                if s < lists.sure[i]:
                    sure += row[order[j]]
                else:
                    rest += row[order[j]]
        found += sure + lists.share[i] * rest
    return found
