"""Inner loops over product tiles that torch has no operation for, compiled by numba for the CPU.

What a GPU needs of them is restated in torch operations; the tests hold the two against each other. All kernels let go
of the interpreter, are deterministic, and work on one thread: `threads.each` gives them parts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TWIN = 8.0  # roundings that a squared distance of 0 comes out as: its root would be 1e-3 in float32
REASSOCIATE = {
    "reassoc",
    "contract",
    "nsz",
}  # lets sums run in vector registers; NaN and infinity keep their meaning
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
def center_rows(x, mean, z, squares):  # type: ignore[no-untyped-def]
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
def _turned(lists, first):  # type: ignore[no-untyped-def]
    """The lists that each system is in: where those of a system end, where each list begins, and how surely."""
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


@njit(nogil=True, cache=True)
def reciprocated(lists, out):  # type: ignore[no-untyped-def]
    """out[s]: whether the neighbor who[s] has the owner of the list: not (0), surely (1), or among those tied (2).

    lists: see `lists.Members`; systems that share a list are in the same lists. out: (entries,) uint8.
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


@njit(nogil=True, cache=True)
def _tied_terms(a, a_mutual, b, b_mutual, order, place, i, row_sums, column_sums):  # type: ignore[no-untyped-def]
    """Add row i to the sums of `unbiased_terms`, whatever ties in it; returns what it adds to the trace."""
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


@njit(nogil=True, cache=True)
def unbiased_terms(a, a_mutual, b, b_mutual, order, place, terms):  # type: ignore[no-untyped-def]
    """The three terms of Song's equation 5 for two kernels times the product of both models' weights; see cknna.py.

    a, b: see `lists.Members`; a_mutual, b_mutual: see `reciprocated`. Row i of a is paired with row order[i] of b.
    place: (n,) int64, scratch, at first all −1. Writes Σ K L (both ways), Σ K Σ L, and the products of row and column
    sums (both orders) into terms, (3,).
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


@njit(nogil=True, cache=True)
def centered_products(a, a_mean, b, b_mean, order, place, terms):  # type: ignore[no-untyped-def]
    """Σ w v (K_ij − row mean)(L_ij − row mean), w and v both models' weights, and the same of absolute products.

    Arguments as in `unbiased_terms`; terms: (2,).
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


@njit(nogil=True, cache=True)
def _sum_tied(a, b, order, place, i):  # type: ignore[no-untyped-def]
    """What row i adds to `sum_shared`, whatever ties in it."""
    p, beyond = order[i], a.near.size
    for t in range(b.start[p], b.stop[p]):
        place[b.who[t]] = beyond + t
    found = 0.0
    for s in range(a.start[i], a.stop[i]):
        t = place[order[a.who[s]]] - beyond
        if b.start[p] <= t < b.stop[p] and a.who[s] != i:
            found += (1.0 if s < a.sure[i] else a.share[i]) * (1.0 if t < b.sure[p] else b.share[p])
    return found


@njit(nogil=True, cache=True)
def sum_shared(a, b, order, place):  # type: ignore[no-untyped-def]
    """The sum of w_ij v_pq over all i and j: a's weights times those of b between p = order[i] and q = order[j].

    Without ties it counts the edges that both have. Arguments as in `unbiased_terms`.
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


@njit(nogil=True, cache=True)
def sum_places(lists, places, order):  # type: ignore[no-untyped-def]
    """The sum over all i and j of the weight of j times places[order[i], order[j]]. lists: see `lists.Members`."""
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


@njit(nogil=True, cache=True, fastmath=REASSOCIATE)
def distances(  # type: ignore[no-untyped-def]
    tile, row_squares, column_squares, row_shift, column_shift, own, row_sums, column_sums
):
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
    values = np.empty(
        (together, rows + together), tile.dtype
    )  # not a power of two apart, which caches do not like
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


@njit(nogil=True, cache=True, inline="always")
def _reach(value, slack, relative, products):  # type: ignore[no-untyped-def]
    """The values between which others tie with this one: below and above."""
    if products:
        return value - slack, value + slack
    root = np.sqrt(value)
    wide = slack + relative * root
    return max(root - wide, 0.0) ** 2 if root > wide else -1.0, (root + wide) ** 2


@njit(nogil=True, cache=True)
def _weigh(index, value, stop, owner, k, slack, relative, products):  # type: ignore[no-untyped-def]
    """How many of a list's first `stop` entries are surely among the k nearest, how many with those tied, and the share
    of these; −1 where others than the owner are fewer than k.
    """
    found, last, own = 0, -1, stop
    for s in range(stop):
        if index[s] == owner:
            own = s
        else:
            found += 1
            if found == k:
                last = s
                break
    if last < 0:
        return -1, stop, 0.0
    below, above = _reach(value[last], slack, relative, products)
    sure, end = last, last + 1
    while sure > 0 and below <= value[sure - 1] <= above:
        sure -= 1
    while end < stop and below <= value[end] <= above:
        own = end if index[end] == owner else own
        end += 1
    free = k - sure + (own < sure)
    tied = end - sure - (sure <= own < end)
    return sure, end, free / tied


@njit(nogil=True, cache=True)
def cut_lists(  # type: ignore[no-untyped-def]
    index,
    value,
    begin,
    owner,
    number,
    which,
    k,
    slack,
    relative,
    products,
    out,
    out_value,
    length,
    sure,
    share,
):
    """Cut the lists `which` to k neighbors and those that tie with the k-th, among the systems that have a new number.

    index, value, begin, slack, relative, products: see `lists.Lists`. owner: (lists,) the new number of one system of
    each list. number: (n,) new numbers, below 0 for systems that are left out. out, out_value: room for all entries.
    length, sure, share: (which,). A list that is left with fewer than k has sure = −1. Returns the number of entries.
    """
    at = 0
    for w in range(which.shape[0]):
        q = which[w]
        end = at
        for e in range(begin[q], begin[q + 1]):
            j = number[index[e]]
            if j >= 0:
                out[end] = j
                out_value[end] = value[e]
                end += 1
        sure[w], length[w], share[w] = _weigh(
            out[at:end], out_value[at:end], end - at, owner[q], k, slack[q], relative, products
        )
        at += length[w]
    return at


@njit(nogil=True, cache=True)
def expand_lists(  # type: ignore[no-untyped-def]
    index,
    value,
    begin,
    which,
    own,
    members,
    offset,
    k,
    slack,
    relative,
    products,
    at,
    out,
    out_value,
    length,
):
    """Put systems in the place of distinct vectors, up to the k-th other system and those that tie with it.

    which: (lists,) the vector whose list it is. own: (vectors,) the value of a vector with itself, which is put in its
    place where several systems have the vector. members, offset: the systems of each vector. at: (lists,) where lists
    begin in out. Writes only `length`, (lists,), where out is empty.
    """
    sign = -1.0 if products else 1.0
    for q in range(which.shape[0]):
        mine = which[q]
        size = offset[mine + 1] - offset[mine]
        waiting = size > 1
        e, others, end = begin[q], 0, 0
        far = np.inf
        while waiting or e < begin[q + 1]:
            if waiting and (e == begin[q + 1] or sign * own[mine] <= sign * value[e]):
                vector, its, new = mine, own[mine], size - 1
                waiting = False
            else:
                vector, its = index[e], value[e]
                new = offset[vector + 1] - offset[vector]
                e += 1
            if sign * its > far:
                break
            others += new
            if others >= k and far == np.inf:
                below, above = _reach(its, slack[q], relative, products)
                far = -below if products else above
            if out.shape[0] > 0:
                for m in range(offset[vector], offset[vector + 1]):
                    out[at[q] + end] = members[m]
                    out_value[at[q] + end] = its
                    end += 1
            else:
                end += offset[vector + 1] - offset[vector]
        length[q] = end


@njit(nogil=True, cache=True)
def keep_near(index, value, begin, k, slack, relative, products, out, out_value, length):  # type: ignore[no-untyped-def]
    """Sort lists without their owners, and keep the k nearest and those that tie with the k-th.

    slack: (lists,). out, out_value: room for all. length: (lists,). Returns the number of entries kept.
    """
    at = 0
    for q in range(begin.shape[0] - 1):
        names, values = index[begin[q] : begin[q + 1]], value[begin[q] : begin[q + 1]]
        order = np.argsort(-values) if products else np.argsort(values)
        below, above = _reach(values[order[k - 1]], slack[q], relative, products)
        end = at
        for s in order:
            if end >= at + k and not below <= values[s] <= above:
                break
            out[end] = names[s]
            out_value[end] = values[s]
            end += 1
        length[q] = end - at
        at = end
    return at


@njit(nogil=True, cache=True)
def measure_rows(x, largest, length):  # type: ignore[no-untyped-def]
    """Each row's largest absolute element and its length. x: (n, d) float64, squares within range."""
    rows, width = x.shape
    for i in range(rows):
        most, total = 0.0, 0.0
        for j in range(width):
            most = max(most, abs(x[i, j]))
            total += x[i, j] * x[i, j]
        largest[i] = most
        length[i] = np.sqrt(total)


@njit(nogil=True, cache=True)
def hash_rows(x, out):  # type: ignore[no-untyped-def]
    """128 bits of every row, the same for the same numbers (−0.0 is 0.0). x: (n, d) float64. out: (n, 2) int64."""
    rows, width = x.shape
    one = np.empty(1)
    bits = one.view(np.uint64)
    for i in range(rows):
        first, second = np.uint64(14695981039346656037), np.uint64(width)
        for j in range(width):
            one[0] = x[i, j] + 0.0
            first = (first ^ bits[0]) * np.uint64(0x9E3779B97F4A7C15)
            first ^= first >> np.uint64(29)
            second = (second + bits[0]) * np.uint64(0xD6E8FEB86659FD93)
            second ^= second >> np.uint64(32)
        out[i, 0] = np.int64(first)
        out[i, 1] = np.int64(second)


@njit(nogil=True, cache=True)
def _root(group, i):  # type: ignore[no-untyped-def]
    while group[i] != i:
        group[i] = group[group[i]]
        i = group[i]
    return i


@njit(nogil=True, cache=True)
def group_close(x, rows, order, along, aside, reach, group):  # type: ignore[no-untyped-def]
    """Put together what is no further apart than both reach: group[i] becomes the first of the group that i is in.

    x: (n, d). rows: (m,) which of them. order: (m,) these along a line of length 1; along, aside: (m,) where they lie
    then, on it and on another. reach: (m,). group: (m,) int64, at first 0 … m − 1.
    """
    count, width = len(rows), x.shape[1]
    most = reach.max()
    for a in range(count):
        i = order[a]
        for b in range(a + 1, count):
            if along[b] - along[a] > reach[i] + most:
                break
            j = order[b]
            limit = reach[i] + reach[j]
            if abs(aside[b] - aside[a]) > limit:
                continue
            one, other = _root(group, i), _root(group, j)
            if one == other:
                continue
            left, right, total = x[rows[i]], x[rows[j]], 0.0
            for at in range(width):
                total += (left[at] - right[at]) ** 2
                if total > limit * limit:
                    break
            if total <= limit * limit:
                group[max(one, other)] = min(one, other)
    for i in range(count):
        group[i] = _root(group, i)


@njit(nogil=True, cache=True)
def mean_places(values, rows, lists, squares, precision, out):  # type: ignore[no-untyped-def]
    """The weighted mean of the places that each row's neighbors have among the row's values, from 1.

    values: (b, n), half the squared distances but for a constant of the row, infinity for the system itself.
    rows: (b,) which systems. squares: (b,), of their lengths. Values tie as in `_count_below`. out: (b,).
    """
    for r in range(rows.shape[0]):
        i = rows[r]
        first, last = lists.start[i], lists.stop[i]
        its = np.empty(last - first)
        for s in range(first, last):
            its[s - first] = values[r, lists.who[s]]
        row = np.sort(values[r])
        total, weights = 0.0, 0.0
        for s in range(first, last):
            if lists.who[s] == i:
                continue
            value = its[s - first]
            band = precision * (squares[r] + abs(value))
            below, within = np.searchsorted(row, value - band), np.searchsorted(row, value + band)
            weight = 1.0 if s < lists.sure[i] else lists.share[i]
            total += weight * (0.5 * (below + within) + 0.5)
            weights += weight
        out[r] = total / weights
