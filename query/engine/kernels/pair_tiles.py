"""Kernels over tiles of all pairs of systems: distances, counts of closer systems, products."""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, summing

TWIN = (
    8.0  # roundings as which a squared distance of 0 comes out: its root would be 1e-3 in float32
)


@summing
def distances(
    tile,
    row_squares,
    column_squares,
    row_shift,
    column_shift,
    own,
    row_sums,
    column_sums,
):
    """Turn a tile of inner products into shifted Euclidean distances in place, and add up its rows.

    tile[i, j] becomes √(row_squares[i] + column_squares[j] − 2 tile[i, j]) − row_shift[i] −
    column_shift[j]. The root is 0 for a system with itself and for twins, of which the squared
    distance is no more than rounding.

    Args:
        tile: Inner products of centered vectors, (b, w).
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


@compiled
def _count_below(values, limit, square, precision, counts):
    """Add #{values < limit − band} + #{values < limit + band} to the counts."""
    for t in range(limit.shape[0]):
        band = precision * (square + abs(limit[t]))
        lower, upper = limit[t] - band, limit[t] + band
        found = np.int32(0)
        for j in range(values.shape[0]):
            found += np.int32(values[j] < lower) + np.int32(values[j] < upper)
        counts[t] += found


@compiled
def count_closer_rows(tile, bonus, own, limit, squares, precision, counts):
    """Count the systems closer than each row's limits, once without and once with ties.

    counts[i, t] grows by #{j: bonus[j] − tile[i, j] < limit[i, t] ∓ band}, with both signs.
    The band is precision · (squares[i] + |limit[i, t]|).

    Args:
        tile: Inner products of centered vectors, (b, w).
        bonus: Half the squared lengths of the columns' vectors, (w,).
        own: The column of row 0's own system; row i has own + i. It may lie outside of the tile.
        limit: Half the squared distances to compare with, but for a constant of the row, (b, t).
        squares: The squared lengths of the rows' vectors, (b,).
        precision: The relative difference up to which two values are the same.
        counts: The counts, (b, t) int32, added to.
    """
    rows, width = tile.shape
    values = np.empty(width, tile.dtype)
    for i in range(rows):
        for j in range(width):
            values[j] = bonus[j] - tile[i, j]
        if 0 <= own + i < width:
            values[own + i] = np.inf
        _count_below(values, limit[i], squares[i], precision, counts[i])


@compiled
def count_closer_columns(tile, bonus, limit, squares, precision, counts):
    """Count the same as `count_closer_rows` for each column of a tile off the diagonal.

    Args:
        tile: Inner products of centered vectors, (b, w).
        bonus: Half the squared lengths of the rows' vectors, (b,).
        limit: Half the squared distances to compare with, but for a constant of the column, (w, t).
        squares: The squared lengths of the columns' vectors, (w,).
        precision: The relative difference up to which two values are the same.
        counts: The counts, (w, t) int32, added to.
    """
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
def shuffled_product(a, b, order):
    """Return Σ_ij a[i, j] b[order[i], order[j]].

    Args:
        a: A matrix, (m, m) float64.
        b: Another, (m, m) float64.
        order: The order in which the rows and columns of `b` are taken, (m,).
    """
    m = order.shape[0]
    total = 0.0
    for i in range(m):
        row, other = a[i], b[order[i]]
        part = 0.0
        for j in range(m):
            part += row[j] * other[order[j]]
        total += part
    return total
