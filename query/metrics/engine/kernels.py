"""Inner loops over product tiles that torch has no operation for, compiled by numba for the CPU.

What a GPU needs of them is restated in torch operations; the tests hold the two against each other. All kernels let go
of the interpreter, are deterministic, and work on one thread: `threads.each` gives them parts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TWIN = 8.0  # roundings that a squared distance of 0 comes out as: its root would be 1e-3 in float32
REASSOCIATE = {"reassoc", "contract", "nsz"}  # lets sums run in vector registers; NaN and infinity keep their meaning
STEP = 64  # candidates looked at in one go before any is taken in hand


@njit(nogil=True, cache=True, inline="always")
def _replace_least(values, index, value, name):  # type: ignore[no-untyped-def]
    """Put (value, name) in the place of the least of a min-heap."""
    size = values.shape[0]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and values[child + 1] < values[child]:
            child += 1
        if values[child] >= value:
            break
        values[at] = values[child]
        index[at] = index[child]
        at = child
    values[at] = value
    index[at] = name


@njit(nogil=True, cache=True)
def scale_rows(x, to_length, out, largest):  # type: ignore[no-untyped-def]
    """out[i] = x[i] over its largest absolute element, and then over its length if `to_length`; out is float64.

    x: (n, d). largest: (n,), filled with that element: 0 for a zero row, NaN or infinity where x has one; such rows of
    out mean nothing. The largest element goes first: the squares of float64 extremes would overflow or vanish.
    """
    rows, width = x.shape
    for i in range(rows):
        row, scaled = x[i], out[i]
        most = 0.0
        total = 0.0
        for j in range(width):
            value = abs(np.float64(row[j]))
            most = max(most, value)
            total += value
        largest[i] = most if total - total == 0.0 else np.nan
        if not most > 0.0 or total - total != 0.0:
            continue
        squares = 0.0
        for j in range(width):
            value = np.float64(row[j]) / most
            scaled[j] = value
            squares += value * value
        if to_length:
            length = np.sqrt(squares)
            for j in range(width):
                scaled[j] /= length


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def centre_rows(x, mean, z, squares):  # type: ignore[no-untyped-def]
    """z[i] = x[i] − mean in z's precision, squares[i] = |x[i] − mean|². x: (n, d) float64."""
    rows, width = x.shape
    for i in range(rows):
        total = 0.0
        for j in range(width):
            value = x[i, j] - mean[j]
            z[i, j] = value
            total += value * value
        squares[i] = total


@njit(nogil=True, cache=True)
def push_rows(tile, bonus, own, first_column, values, index):  # type: ignore[no-untyped-def]
    """Offer tile[i, j] + bonus[j] to the heap of row i under the name first_column + j.

    tile: (b, w). bonus: (w,). own: the column of row 0's own system, the next one's is one further; below 0 and out
    of reach where the tile has none. values, index: (b, c), a min-heap a row, changed in place.
    """
    rows, width = tile.shape
    for i in range(rows):
        heap, names = values[i], index[i]
        for start in range(0, width, STEP):
            part, add = tile[i, start : start + STEP], bonus[start : start + STEP]
            least = heap[0]
            larger = np.int32(0)
            for j in range(part.shape[0]):
                larger |= np.int32(part[j] + add[j] > least)
            if larger:
                for j in range(part.shape[0]):
                    value = part[j] + add[j]
                    if value > heap[0] and start + j != own + i:
                        _replace_least(heap, names, value, first_column + start + j)


@njit(nogil=True, cache=True)
def push_columns(tile, bonus, first_row, values, index):  # type: ignore[no-untyped-def]
    """Offer tile[i, j] + bonus[i] to the heap of column j under the name first_row + i.

    tile: (b, w). bonus: (b,). values, index: (w, c), a min-heap a column, changed in place.
    """
    rows, width = tile.shape
    least = values[:, 0].copy()
    for i in range(rows):
        add = bonus[i]
        for start in range(0, width, STEP):
            part, limit = tile[i, start : start + STEP], least[start : start + STEP]
            larger = np.int32(0)
            for j in range(part.shape[0]):
                larger |= np.int32(part[j] + add > limit[j])
            if larger:
                for j in range(part.shape[0]):
                    value = part[j] + add
                    if value > limit[j]:
                        _replace_least(values[start + j], index[start + j], value, first_row + i)
                        limit[j] = values[start + j, 0]


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def inner_products(x, owners, index, out):  # type: ignore[no-untyped-def]
    """out[i, s] = <x[owners[i]], x[index[i, s]]>, the same number whichever of two rows asks for the other."""
    rows, count = index.shape
    for i in range(rows):
        own = x[owners[i]]
        for s in range(count):
            other = x[index[i, s]]
            total = 0.0
            for j in range(own.shape[0]):
                total += own[j] * other[j]
            out[i, s] = total


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def squared_distances(x, owners, index, out):  # type: ignore[no-untyped-def]
    """out[i, s] = |x[owners[i]] − x[index[i, s]]|², from differences, so that close rows keep their digits."""
    rows, count = index.shape
    for i in range(rows):
        own = x[owners[i]]
        for s in range(count):
            other = x[index[i, s]]
            total = 0.0
            for j in range(own.shape[0]):
                difference = own[j] - other[j]
                total += difference * difference
            out[i, s] = total


@njit(nogil=True, cache=True)
def order_by_value(values, index, slack):  # type: ignore[no-untyped-def]
    """Sort every row by falling value; values that follow each other within slack[i] are tied: by rising index."""
    rows, count = values.shape
    for i in range(rows):
        order = np.argsort(-values[i])
        sorted_values, sorted_index = values[i][order], index[i][order]
        start = 0
        while start < count:
            stop = start + 1
            while stop < count and sorted_values[stop - 1] - sorted_values[stop] <= slack[i]:
                stop += 1
            if stop - start > 1:
                by_index = np.argsort(sorted_index[start:stop])
                sorted_values[start:stop] = sorted_values[start:stop][by_index]
                sorted_index[start:stop] = sorted_index[start:stop][by_index]
            start = stop
        values[i] = sorted_values
        index[i] = sorted_index


@njit(nogil=True, cache=True)
def reciprocated(index, out):  # type: ignore[no-untyped-def]
    """out[i, s]: whether index[i, s] has i among its own. index: (n, k)."""
    n, k = index.shape
    for i in range(n):
        for s in range(k):
            other = index[index[i, s]]
            found = False
            for t in range(k):
                found |= other[t] == i
            out[i, s] = found


@njit(nogil=True, cache=True)
def unbiased_terms(a, a_value, a_mutual, b, b_value, b_mutual, order, place, terms):  # type: ignore[no-untyped-def]
    """The three terms of Song's equation 5 for two kernels that are zero but for the edges both have; see cknna.py.

    a, b: (n, k) lists, with the kernels' values and whether the neighbour has the row too. Row i of a is paired with
    row order[i] of b. place: (n,) int64, scratch, at first all −1. Writes Σ K L (both ways), Σ K Σ L, and the products
    of row and column sums (both orders) into terms, (3,).
    """
    n, k = a.shape
    row_sums, column_sums = np.zeros((2, n)), np.zeros((2, n))
    trace = 0.0
    for i in range(n):
        p = order[i]
        base = i * k
        for t in range(k):
            place[b[p, t]] = base + t
        for s in range(k):
            j = a[i, s]
            t = place[order[j]] - base
            if 0 <= t < k:
                left, right = a_value[i, s], b_value[p, t]
                row_sums[0, i] += left
                row_sums[1, i] += right
                column_sums[0, j] += left
                column_sums[1, j] += right
                if a_mutual[i, s] and b_mutual[p, t]:
                    trace += left * right
    crossed = 0.0
    for i in range(n):
        crossed += column_sums[0, i] * row_sums[1, i] + column_sums[1, i] * row_sums[0, i]
    terms[0] = trace
    terms[1] = row_sums[0].sum() * row_sums[1].sum()
    terms[2] = crossed


@njit(nogil=True, cache=True)
def centred_products(a, a_value, a_mean, b, b_value, b_mean, order, place, terms):  # type: ignore[no-untyped-def]
    """Σ (K_ij − row mean)(L_ij − row mean) over edges that both have, and the same of absolute products, into terms."""
    n, k = a.shape
    total, size = 0.0, 0.0
    for i in range(n):
        p = order[i]
        base = i * k
        for t in range(k):
            place[b[p, t]] = base + t
        for s in range(k):
            t = place[order[a[i, s]]] - base
            if 0 <= t < k:
                product = (a_value[i, s] - a_mean[i]) * (b_value[p, t] - b_mean[p])
                total += product
                size += abs(product)
    terms[0] = total
    terms[1] = size


@njit(nogil=True, cache=True)
def count_shared(a, b, order, place):  # type: ignore[no-untyped-def]
    """How many edges i → j of a are edges order[i] → order[j] of b. place: as in `unbiased_terms`."""
    n, k = a.shape
    found = 0
    for i in range(n):
        partner = b[order[i]]
        base = i * k
        for t in range(k):
            place[partner[t]] = base + t
        for s in range(k):
            t = place[order[a[i, s]]] - base
            found += 0 <= t < k
    return found


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def distances(tile, row_squares, column_squares, row_shift, column_shift, own, row_sums, column_sums):  # type: ignore[no-untyped-def]
    """Turn a tile of inner products into shifted Euclidean distances, in place, and add up rows and columns.

    tile[i, j] becomes √(row_squares[i] + column_squares[j] − 2 tile[i, j]) − row_shift[i] − column_shift[j], the root 0
    for a system with itself (column own + i) and for twins, whose squared distance is no more than rounding. row_sums
    (b,) and column_sums (w,) are float64 and added to.
    """
    rows, width = tile.shape
    columns = np.zeros(width, tile.dtype)
    twin = TWIN * np.finfo(tile.dtype).eps
    for i in range(rows):
        square, shift = row_squares[i], row_shift[i]
        for j in range(width):
            both = square + column_squares[j]
            apart = both - 2 * tile[i, j]
            tile[i, j] = np.sqrt(apart if apart > twin * both else 0) - shift - column_shift[j]
        j = own + i
        if 0 <= j < width:
            tile[i, j] = -shift - column_shift[j]
        total = tile[i, 0] - tile[i, 0]
        for j in range(width):
            total += tile[i, j]
            columns[j] += tile[i, j]
        row_sums[i] += total
    for j in range(width):
        column_sums[j] += columns[j]


@njit(nogil=True, cache=True)
def _count_below(values, limit, square, precision, counts):  # type: ignore[no-untyped-def]
    """counts[t] += #{values < limit[t] − band} + #{values < limit[t] + band}, the band what rounding may do."""
    for t in range(limit.shape[0]):
        band = precision * (square + abs(limit[t]))
        lower, upper = limit[t] - band, limit[t] + band
        found = np.int32(0)
        for j in range(values.shape[0]):
            found += np.int32(values[j] < lower) + np.int32(values[j] < upper)
        counts[t] += found


@njit(nogil=True, cache=True)
def count_closer_rows(tile, bonus, own, limit, squares, precision, counts):  # type: ignore[no-untyped-def]
    """For every row i and threshold t: counts[i, t] += #{j: bonus[j] − tile[i, j] < limit[i, t] ∓ band}, both added.

    The band is precision · (squares[i] + |limit[i, t]|). tile: (b, w). bonus: (w,). own: as in `push_rows`. limit:
    (b, t). squares: (b,). counts: (b, t) int32.
    """
    rows, width = tile.shape
    values = np.empty(width, tile.dtype)
    for i in range(rows):
        for j in range(width):
            values[j] = bonus[j] - tile[i, j]
        if 0 <= own + i < width:
            values[own + i] = np.inf
        _count_below(values, limit[i], squares[i], precision, counts[i])


@njit(nogil=True, cache=True)
def count_closer_columns(tile, bonus, limit, squares, precision, counts):  # type: ignore[no-untyped-def]
    """The same for every column j: bonus[i] − tile[i, j] against limit[j, t] ∓ band. bonus: (b,), squares: (w,)."""
    rows, width = tile.shape
    together = 16  # columns, one cache line of float32
    values = np.empty((together, rows + together), tile.dtype)  # not a power of two apart, which caches do not like
    for start in range(0, width, together):
        stop = min(start + together, width)
        for first in range(0, rows, together):
            for j in range(start, stop):
                for i in range(first, min(first + together, rows)):
                    values[j - start, i] = bonus[i] - tile[i, j]
        for j in range(start, stop):
            _count_below(values[j - start, :rows], limit[j], squares[j], precision, counts[j])


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def thresholds(z, half_squares, index, out):  # type: ignore[no-untyped-def]
    """out[i, t] = half_squares[j] − <z[i], z[j]>, j = index[i, t]: half the squared distance but for a row constant."""
    rows, count = index.shape
    for i in range(rows):
        own = z[i]
        for t in range(count):
            other = z[index[i, t]]
            total = own[0] - own[0]
            for j in range(own.shape[0]):
                total += own[j] * other[j]
            out[i, t] = half_squares[index[i, t]] - total


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def shuffled_product(a, b, order):  # type: ignore[no-untyped-def]
    """Σ_ij a[i, j] b[order[i], order[j]], both (m, m)."""
    m = order.shape[0]
    total = 0.0
    for i in range(m):
        row, other = a[i], b[order[i]]
        part = 0.0
        for j in range(m):
            part += row[j] * other[order[j]]
        total += part
    return total
