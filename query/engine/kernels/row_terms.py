"""Kernels that tell what each of some systems adds to a metric of neighbors, for one pairing.

`a` and `b` are `Neighborhoods` of two models over n systems, in which `rows` (r,) have lists and
others may have none. Row i of `a` is paired with row order[i] of `b`; `order` is (n,), and maps
`rows` to themselves. `place` is scratch of shape (n,) int64, all −1 at first.
"""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, inlined


@inlined
def _mark(lists, i, place):
    """Note in `place` where the entries of list i are."""
    for t in range(lists.start[i], lists.stop[i]):
        place[lists.who[t]] = t


@inlined
def _weight(lists, i, s):
    """Return the weight of entry s of list i."""
    return 1.0 if s < lists.sure[i] else lists.share[i]


@compiled
def shared_by_row(a, b, rows, order, place, out):
    """Sum w_ij v_pq over j, with p = order[i], q = order[j], w of `a` and v of `b`.

    Args:
        a: The neighborhoods of the first model.
        b: The neighborhoods of the second model.
        rows: The systems i, (r,).
        order: The pairing; see the module.
        place: Scratch; see the module.
        out: Receives the sums, (r,).
    """
    for r in range(rows.shape[0]):
        i = rows[r]
        p = order[i]
        _mark(b, p, place)
        total = 0.0
        for s in range(a.start[i], a.stop[i]):
            t = place[order[a.who[s]]]
            if b.start[p] <= t < b.stop[p] and a.who[s] != i:
                total += _weight(a, i, s) * _weight(b, p, t)
        out[r] = total


@compiled
def centered_by_row(a, a_mean, b, b_mean, rows, order, place, out):
    """Sum w v (K_ij − row mean)(L_pq − row mean) over j, with both models' weights w and v.

    Args:
        a: The neighborhoods of the first model.
        a_mean: The mean of each row of its kernel K, (n,).
        b: The neighborhoods of the second model.
        b_mean: The mean of each row of its kernel L, (n,).
        rows: The systems i, (r,).
        order: The pairing; see the module.
        place: Scratch; see the module.
        out: Receives the sums, and those of absolute products, (2, r).
    """
    for r in range(rows.shape[0]):
        i = rows[r]
        p = order[i]
        _mark(b, p, place)
        total, size = 0.0, 0.0
        for s in range(a.start[i], a.stop[i]):
            t = place[order[a.who[s]]]
            if b.start[p] <= t < b.stop[p] and a.who[s] != i:
                product = (a.value[s] - a_mean[i]) * (b.value[t] - b_mean[p])
                product *= _weight(a, i, s) * _weight(b, p, t)
                total += product
                size += abs(product)
        out[0, r], out[1, r] = total, size


@compiled
def returned_weights(lists, rows, out):
    """Find with which weight each neighbor of a row counts the row as its own neighbor.

    Args:
        lists: The neighborhoods; the neighbors of `rows` have lists, too.
        rows: The systems, (r,).
        out: Receives the weights, (entries,); 0 at first.
    """
    for i in rows:
        for s in range(lists.start[i], lists.stop[i]):
            j = lists.who[s]
            if j == i:  # systems with the same vector share a list, which then holds them
                continue
            for t in range(lists.start[j], lists.stop[j]):
                if lists.who[t] == i:
                    out[s] = _weight(lists, j, t)
                    break


@compiled
def _joint_sums(a, b, i, order, place):
    """Return Σ_j w v K_ij and Σ_j w v L_pq of one row."""
    p = order[i]
    _mark(b, p, place)
    left, right = 0.0, 0.0
    for s in range(a.start[i], a.stop[i]):
        t = place[order[a.who[s]]]
        if b.start[p] <= t < b.stop[p] and a.who[s] != i:
            weight = _weight(a, i, s) * _weight(b, p, t)
            left += weight * a.value[s]
            right += weight * b.value[t]
    return left, right


@compiled
def unbiased_by_row(a, a_back, b, b_back, rows, order, place, out):
    """Find what each row adds to the sums of `unbiased_terms`.

    Args:
        a: The neighborhoods of the first model; the neighbors of `rows` have lists, too.
        a_back: What `returned_weights` found for them, (entries,).
        b: The neighborhoods of the second model, with as many lists.
        b_back: What `returned_weights` found for them, (entries,).
        rows: The systems i, (r,).
        order: The pairing; see the module.
        place: Scratch; see the module.
        out: Receives each row's part of the trace, of Σ K, of Σ L, and of the products of row and
            column sums, (4, r).
    """
    for r in range(rows.shape[0]):
        i = rows[r]
        p = order[i]
        _mark(b, p, place)
        shared = np.empty(a.stop[i] - a.start[i], np.int64)  # `place` is overwritten below
        for s in range(a.start[i], a.stop[i]):
            t = place[order[a.who[s]]]
            found = b.start[p] <= t < b.stop[p] and a.who[s] != i
            shared[s - a.start[i]] = t if found else -1
        out[:, r] = 0.0
        for s in range(a.start[i], a.stop[i]):
            t = shared[s - a.start[i]]
            if t < 0:
                continue
            weight = _weight(a, i, s) * _weight(b, p, t)
            left, right = a.value[s], b.value[t]
            row_left, row_right = _joint_sums(a, b, a.who[s], order, place)
            out[0, r] += weight * left * right * a_back[s] * b_back[t]
            out[1, r] += weight * left
            out[2, r] += weight * right
            out[3, r] += weight * (left * row_right + right * row_left)


@compiled
def place_sums(values, ordered, rows, owners, lists, order, squares, precision, out):
    """Find the mean place that the neighbors of each row's owner have among the row's values.

    Args:
        values: Half the squared distances but for a constant of the row, (b, n); infinity for the
            system itself.
        ordered: The same, ascending within each row.
        rows: Where the drawn systems of these rows are in `out`, (b,).
        owners: The systems that are paired with them, (b,).
        lists: The neighborhoods of the other model, in which the owners have lists.
        order: The pairing; see the module.
        squares: The squared lengths of the rows' vectors, (b,).
        precision: The relative difference up to which two values tie.
        out: Receives the mean places, counted from 1, (r,); NaN for an owner without a list.
    """
    for r in range(rows.shape[0]):
        i = owners[r]
        total, weights = 0.0, 0.0
        for s in range(lists.start[i], lists.stop[i]):
            j = lists.who[s]
            if j == i:
                continue
            value = values[r, order[j]]
            band = precision * (squares[r] + abs(value))
            below = np.searchsorted(ordered[r], value - band)
            within = np.searchsorted(ordered[r], value + band)
            weight = _weight(lists, i, s)
            total += weight * (0.5 * (below + within) + 0.5)
            weights += weight
        out[rows[r]] = total / weights if weights > 0.0 else np.nan
