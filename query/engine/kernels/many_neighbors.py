"""The terms of `unbiased_terms` for many pairs of models and one pairing of their systems.

Lists of two models have few systems in common by chance, so that most of the work on a pair is to
find this out. Here it is done for all models of a side at once: each system has a bit per model of
the other side that has it in its list. Where the sums of all pairs fit into the caches, they are
added up at once by `sum_shared`; of many systems, `find_shared` and `add_shared` take less room.

The models of a side are given as `Stacked` (see `query.metrics.shared.many_pairs`): all their lists
one after the other, and for each model and system where they are.
"""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, inlined

NUMBER = np.zeros(37, np.int64)  # of a bit, by the bit modulo 37
NUMBER[[(1 << bit) % 37 for bit in range(16)]] = np.arange(16)
SHORT = 48  # entries of a list, up to which it is quicker to look through it


@inlined
def _place(b, y, p, q, places):
    """Return where system q is in the list of system p of a model, which holds it."""
    first, stop = b.start[p, y], b.stop[p, y]
    if stop - first > SHORT:
        return first + places[q, y]
    t = first
    while b.who[t] != q:
        t += 1
    return t


@inlined
def _mark(b, p, bits, places, short):
    """Note for all systems in which models' lists of system p they are, and where in long ones."""
    for y in range(b.start.shape[1]):
        bit, first, stop = np.uint16(1) << np.uint16(y), b.start[p, y], b.stop[p, y]
        for t in range(first, stop):
            bits[b.who[t]] |= bit
        if stop - first > short:
            for t in range(first, stop):
                places[b.who[t], y] = t - first


@inlined
def _unmark(b, p, bits):
    for y in range(b.start.shape[1]):
        for t in range(b.start[p, y], b.stop[p, y]):
            bits[b.who[t]] = np.uint16(0)


@compiled
def find_shared(a, b, order, bits, places, hits):
    """Find the neighbors that each pair of models has in common.

    Args:
        a: The lists of the first models.
        b: The lists of the other models, at most 16.
        order: The pairing; see `shared_neighbors`; int32, so that it stays in the cache.
        bits: Scratch, (n,) uint16, 0 at first, and again at the end.
        places: Scratch, (n, B) int32.
        hits: Receives the pair, the system, and where both models have the neighbor in their lists,
            (4, room) int32.

    Returns:
        How many were found; −1 if there was no room for them.
    """
    n, count, room, at = len(order), b.start.shape[1], hits.shape[1], 0
    for i in range(n):
        p = order[i]
        _mark(b, p, bits, places, SHORT)
        for x in range(a.start.shape[1]):
            for s in range(a.start[i, x], a.stop[i, x]):
                q = order[a.who[s]]
                found = bits[q]
                if found == 0 or q == p:
                    continue
                if at + count > room:
                    return -1
                rest = np.int64(found)
                while rest:
                    y = NUMBER[(rest & -rest) % 37]
                    rest &= rest - 1
                    hits[0, at], hits[1, at] = x * count + y, i
                    hits[2, at], hits[3, at] = s, _place(b, y, p, q, places)
                    at += 1
        _unmark(b, p, bits)
    return at


@compiled
def add_shared(a, b, order, hits, found, sums, terms):
    """Compute the terms from what was found, added up in the order of `unbiased_terms`.

    Args:
        a: See `find_shared`.
        b: See there.
        order: See there.
        hits: What `find_shared` found.
        found: How many these are.
        sums: Scratch, (4, n).
        terms: Receives the terms, (A, B, 3).
    """
    n, count = sums.shape[1], b.start.shape[1]
    ends = np.zeros(a.start.shape[1] * count + 1, np.int64)
    for h in range(found):
        ends[hits[0, h] + 1] += 1
    ends = np.cumsum(ends)
    ordered, at = np.empty(found, np.int64), ends[:-1].copy()
    for h in range(found):
        pair = hits[0, h]
        ordered[at[pair]] = h
        at[pair] += 1
    for pair in range(len(at)):
        x, y = pair // count, pair % count
        some = ordered[ends[pair] : ends[pair + 1]]
        terms[x, y, 0] = _add_pair(a, x, b, y, order, hits, some, sums)
        terms[x, y, 1] = sums[0].sum() * sums[1].sum()
        crossed = 0.0
        for i in range(n):
            crossed += sums[2, i] * sums[1, i] + sums[3, i] * sums[0, i]
        terms[x, y, 2] = crossed


@compiled
def _add_pair(a, x, b, y, order, hits, some, sums):
    """Add what a pair of models has in common to the sums of rows and columns; return the trace."""
    sums[:] = 0.0
    trace, own, last = 0.0, 0.0, -1
    for h in some:
        i, s, t = hits[1, h], hits[2, h], hits[3, h]
        j, p = a.who[s], order[i]
        if i != last:  # terms of a row with ties are added up by themselves first
            trace, own, last = trace + own, 0.0, i
        left, right, plain = a.value[s], b.value[t], a.plain[i, x] and b.plain[p, y]
        weight = 1.0
        if not plain:
            weight = 1.0 if s < a.sure[i, x] else a.share[i, x]
            weight *= 1.0 if t < b.sure[p, y] else b.share[p, y]
        sums[0, i] += weight * left
        sums[1, i] += weight * right
        sums[2, j] += weight * left
        sums[3, j] += weight * right
        if a.mutual[s] and b.mutual[t]:
            back = 1.0 if a.mutual[s] == 1 else a.share[j, x]
            back *= 1.0 if b.mutual[t] == 1 else b.share[order[j], y]
            if plain:
                trace += left * right * back
            else:
                own += weight * back * left * right
    return trace + own


@compiled
def sum_shared(a, b, order, bits, places, rows, columns, own, terms):
    """Compute the terms of all pairs of models as they are found, where there is room for all sums.

    They are added up in the order of `unbiased_terms`.

    Args:
        a: See `find_shared`.
        b: See there.
        order: See there.
        bits: See there.
        places: See there.
        rows: Scratch, (n, A, B, 2).
        columns: Scratch, (n, A, B, 2).
        own: Scratch, (A, B).
        terms: Receives the terms, (A, B, 3).
    """
    rows[:] = 0.0
    columns[:] = 0.0
    terms[:] = 0.0
    for i in range(len(order)):
        p = order[i]
        _mark(b, p, bits, places, 0)
        own[:] = 0.0  # terms of a row with ties are added up by themselves first
        for x in range(a.start.shape[1]):
            _add_row(a, x, b, i, order, bits, places, rows[i, x], columns, own[x], terms[x])
        _unmark(b, p, bits)
        terms[:, :, 0] += own
    _sum_products(rows, columns, own, terms)


@compiled
def _add_row(a, x, b, i, order, bits, places, row, columns, own, terms):
    """Add what one system of a model has in common with all models of the other side."""
    p = order[i]
    for s in range(a.start[i, x], a.stop[i, x]):
        j = a.who[s]
        q = order[j]
        found = bits[q]
        if found == 0 or q == p:
            continue
        left, column, rest = a.value[s], columns[j, x], np.int64(found)
        while rest:
            y = NUMBER[(rest & -rest) % 37]
            rest &= rest - 1
            t = b.start[p, y] + places[q, y]
            right, plain = b.value[t], a.plain[i, x] and b.plain[p, y]
            weight = 1.0
            if not plain:
                weight = 1.0 if s < a.sure[i, x] else a.share[i, x]
                weight *= 1.0 if t < b.sure[p, y] else b.share[p, y]
            row[y, 0] += weight * left
            row[y, 1] += weight * right
            column[y, 0] += weight * left
            column[y, 1] += weight * right
            if a.mutual[s] and b.mutual[t]:
                back = 1.0 if a.mutual[s] == 1 else a.share[j, x]
                back *= 1.0 if b.mutual[t] == 1 else b.share[q, y]
                if plain:
                    terms[y, 0] += left * right * back
                else:
                    own[y] += weight * back * left * right


@compiled
def _sum_products(rows, columns, own, terms):
    """Compute the second and the third term from the sums of rows and columns."""
    totals = np.zeros((2, own.shape[0], own.shape[1]))
    for i in range(rows.shape[0]):
        for x in range(own.shape[0]):
            for y in range(own.shape[1]):
                left, right = rows[i, x, y, 0], rows[i, x, y, 1]
                totals[0, x, y] += left
                totals[1, x, y] += right
                terms[x, y, 2] += columns[i, x, y, 0] * right + columns[i, x, y, 1] * left
    terms[:, :, 1] = totals[0] * totals[1]
