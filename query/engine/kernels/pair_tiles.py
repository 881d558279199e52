"""Kernels over tiles of all pairs of systems: distances, counts of closer systems, products."""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, summing

# Roundings as which a squared distance of 0 comes out: its root would be 1e-3 in float32.
TWIN = 8.0
LINE = 16  # columns that are turned into rows together: a cache line of float32
STEP = 64  # values compared in one vectorized loop before any of them is copied
# Limits with which a value is compared in the time that it is searched for among all of them.
SEARCH = 64.0


@summing
def distances(
    tile,
    out,
    row_squares,
    column_squares,
    row_shift,
    column_shift,
    own,
    row_sums,
    column_sums,
):
    """Turn a tile of inner products into shifted Euclidean distances, and add up its rows.

    out[i, j] becomes √(row_squares[i] + column_squares[j] − 2 tile[i, j]) − row_shift[i] −
    column_shift[j]. The root is 0 for a system with itself and for twins, of which the squared
    distance is no more than rounding.

    Args:
        tile: Inner products of centered vectors, (b, w).
        out: Receives the distances, (b, w); it may be the tile.
        row_squares: The squared lengths of the rows' vectors, (b,).
        column_squares: The squared lengths of the columns' vectors, (w,).
        row_shift: What is taken off each row, (b,).
        column_shift: What is taken off each column, (w,).
        own: The column of row 0's own system; row i has own + i. It may lie outside of the tile.
        row_sums: The sums of rows are added to these, (b,) float64.
        column_sums: The sums of columns are added to these, (w,) float64.
    """
    rows, width = tile.shape
    columns = np.zeros(width, tile.dtype)
    # Numbers of another type would turn all of float32 into float64, which takes three times as
    # long.
    twin = tile.dtype.type(TWIN * np.finfo(tile.dtype).eps)
    none = tile.dtype.type(0)
    for i in range(rows):
        square, shift = row_squares[i], row_shift[i]
        for j in range(width):
            both = square + column_squares[j]
            apart = both - tile[i, j] - tile[i, j]
            out[i, j] = np.sqrt(apart if apart > twin * both else none) - shift - column_shift[j]
        j = own + i
        if 0 <= j < width:
            out[i, j] = -shift - column_shift[j]
        total = none
        for j in range(width):
            total += out[i, j]
            columns[j] += out[i, j]
        row_sums[i] += total
    for j in range(width):
        column_sums[j] += columns[j]


@compiled
def _choose_split(tallies, seen):
    """Return how many of a row's limits to search, from what was counted among `seen` systems.

    A value below one of the first `split` limits is searched for its place among them; all values
    are compared with each of the others. Limits that few values are below cost little to search.
    """
    limits = tallies.shape[0] - 1
    split, least, below = 0, np.float64(limits), 0.0
    if seen > 0:
        for t in range(1, limits + 1):
            below += tallies[t - 1]
            cost = limits - t + SEARCH * below / (2 * seen)
            if cost < least:
                split, least = t, cost
    return split


@compiled
def _compare(values, lower, upper, split, tallies):
    """Compare all values with the limits from `split` on; see `tally_rows`."""
    before = np.int32(0)
    for t in range(split, lower.shape[0]):
        least, most, found = lower[t], upper[t], np.int32(0)
        for j in range(values.shape[0]):
            found += np.int32(values[j] < least) + np.int32(values[j] < most)
        tallies[t] += found - before
        before = found


@compiled
def _keep_below(values, limit, kept):
    """Copy the values below a limit to `kept`, and return how many there are."""
    count = 0
    for start in range(0, values.shape[0], STEP):
        part = values[start : start + STEP]
        some = np.int32(0)
        for j in range(part.shape[0]):
            some |= np.int32(part[j] < limit)
        if some:
            for j in range(part.shape[0]):
                kept[count] = part[j]
                count += part[j] < limit
    return count


@compiled
def _search(values, lower, upper, split, ladder, tallies):
    """Find the place of each value among the first `split` limits; see `tally_rows`."""
    bits, one = 0, np.uint64(1)
    while (1 << bits) <= split:
        bits += 1
    ladder[:split] = lower[:split]
    ladder[split : 1 << bits] = np.inf
    for value in values:
        place = np.uint64(0)
        for bit in range(bits - 1, -1, -1):  # without a branch, which could only be guessed
            at = place | (one << np.uint64(bit))
            place |= np.uint64(ladder[at - one] <= value) << np.uint64(bit)
        tallies[place] += 1
        while place > 0 and upper[place - one] > value:
            place -= one
        tallies[place] += 1
    # To the limits from `split` on, all values have been compared.
    tallies[split] -= np.int32(2 * values.shape[0])


@compiled
def _tally(values, limit, square, precision, seen, scratch, tallies):
    """Tally the values of one row; see `tally_rows`. scratch: (4, at least 2 limits and b)."""
    count = limit.shape[0]
    lower, upper, ladder, kept = scratch[0, :count], scratch[1, :count], scratch[2], scratch[3]
    for t in range(count):
        band = precision * (square + abs(limit[t]))
        lower[t], upper[t] = limit[t] - band, limit[t] + band
    split = _choose_split(tallies, seen)
    _compare(values, lower, upper, split, tallies)
    if split > 0:
        found = _keep_below(values, upper[split - 1], kept)
        _search(kept[:found], lower, upper, split, ladder, tallies)


@compiled
def tally_rows(tile, bonus, own, limit, squares, precision, seen, tallies):
    """Tally the systems of each row by the limits that they are closer than.

    With c_it = #{j: bonus[j] − tile[i, j] < limit[i, t] − band} + #{… < limit[i, t] + band}, that
    is the systems closer than a limit counted twice, once without and once with ties, tallies[i, t]
    grows by c_it − c_i(t−1). The band is precision · (squares[i] + |limit[i, t]|).

    Args:
        tile: Inner products of centered vectors, (b, w).
        bonus: Half the squared lengths of the columns' vectors, (w,).
        own: The column of row 0's own system; row i has own + i. It may lie outside of the tile.
        limit: Half the squared distances to compare with, but for a constant of the row, ascending
            in each row, (b, t).
        squares: The squared lengths of the rows' vectors, (b,).
        precision: The relative difference up to which two values are the same.
        seen: How many systems have been tallied already for these rows.
        tallies: The tallies, (b, t + 1) int32, added to; the last of a row is without meaning.
    """
    rows, width = tile.shape
    values = np.empty(width, tile.dtype)
    scratch = np.empty((4, max(width, 2 * limit.shape[1]) + 1), tile.dtype)
    for i in range(rows):
        for j in range(width):
            values[j] = bonus[j] - tile[i, j]
        if 0 <= own + i < width:
            values[own + i] = np.inf
        _tally(values, limit[i], squares[i], precision, seen, scratch, tallies[i])


@compiled
def tally_columns(tile, bonus, limit, squares, precision, seen, tallies):
    """Tally the same as `tally_rows` for each column of a tile off the diagonal.

    Args:
        tile: Inner products of centered vectors, (b, w).
        bonus: Half the squared lengths of the rows' vectors, (b,).
        limit: Half the squared distances to compare with, but for a constant of the column,
            ascending, (w, t).
        squares: The squared lengths of the columns' vectors, (w,).
        precision: The relative difference up to which two values are the same.
        seen: How many systems have been tallied already for these columns.
        tallies: The tallies, (w, t + 1) int32, added to.
    """
    rows, width = tile.shape
    # Not a power of two apart, which caches do not like.
    values = np.empty((LINE, rows + LINE), tile.dtype)
    scratch = np.empty((4, max(rows, 2 * limit.shape[1]) + 1), tile.dtype)
    for start in range(0, width, LINE):
        columns = min(LINE, width - start)
        for i in range(rows):
            part, add = tile[i, start : start + columns], bonus[i]
            for j in range(columns):
                values[j, i] = add - part[j]
        for j in range(start, start + columns):
            its = values[j - start, :rows]
            _tally(its, limit[j], squares[j], precision, seen, scratch, tallies[j])


@summing
def thresholds(z, half_squares, index, out):
    """Compute half the squared distance to some systems, but for a constant of the row.

    out[i, t] = half_squares[j] − ⟨z[i], z[j]⟩ with j = index[i, t].

    Args:
        z: The centered vectors, (n, d).
        half_squares: Half their squared lengths, (n,).
        index: The systems, (n, t).
        out: Receives the values, (n, t).
    """
    rows, count = index.shape
    for i in range(rows):
        own = z[i]
        for t in range(count):
            other = z[index[i, t]]
            total = own[0] - own[0]
            for j in range(own.shape[0]):
                total += own[j] * other[j]
            out[i, t] = half_squares[index[i, t]] - total


@compiled
def mean_places(values, rows, lists, squares, precision, out):
    """Average the places that each row's neighbors have among the row's values, with their weights.

    Args:
        values: Half the squared distances but for a constant of the row, (b, n); infinity for the
            system itself.
        rows: The systems of the rows, (b,).
        lists: The neighborhoods that say who the neighbors are, and with which weight.
        squares: The squared lengths of the rows' vectors, (b,).
        precision: The relative difference up to which two values tie, as in `count_closer_rows`.
        out: Receives the mean places, counted from 1, (b,).
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


@summing
def shuffled_products(a, b, order, rows, out):
    """Compute Σ_ij a[x, i, j] b[y, order[i], order[j]] for all pairs of symmetric matrices.

    Args:
        a: The first matrices, (A, m, m) float64.
        b: The others, (B, m, m) float64.
        order: The order in which the rows and columns of `b` are taken, (m,).
        rows: Scratch, (B, m).
        out: Receives the sums, (A, B).
    """
    out[:] = 0.0
    for i in range(order.shape[0]):
        for y in range(b.shape[0]):
            other = b[y, order[i]]
            for j in range(i + 1):
                rows[y, j] = other[order[j]]
        for x in range(a.shape[0]):
            row = a[x, i]
            for y in range(b.shape[0]):
                other = rows[y]
                part = 0.0
                for j in range(i):
                    part += row[j] * other[j]
                out[x, y] += 2 * part + row[i] * other[i]
