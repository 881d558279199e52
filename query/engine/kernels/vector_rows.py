"""Kernels over the rows of a table of vectors: scaling, centering, hashing, grouping close rows."""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, inlined, summing


@summing
def scale_rows(x, largest, to_length, out):
    """Divide each row by its largest absolute element, and then by its length if asked for.

    The largest element goes first because the squares of float64 extremes would overflow or vanish.

    Args:
        x: The vectors, (n, d).
        largest: The largest absolute element of each row, (n,) float64, finite and above 0.
        to_length: Whether rows get length 1; else their largest absolute element is 1.
        out: Receives the scaled rows, (n, d) float64.
    """
    rows, width = x.shape
    for i in range(rows):
        row, scaled, most = x[i], out[i], largest[i]
        squares = 0.0
        for j in range(width):
            value = np.float64(row[j]) / most
            scaled[j] = value
            squares += value * value
        if to_length:
            factor = 1 / np.sqrt(squares)
            for j in range(width):
                scaled[j] *= factor


@summing
def center_rows(x, mean, z, squares):
    """Subtract the mean from each row, in float64, and measure what is left.

    Args:
        x: The vectors, (n, d) float64.
        mean: What is subtracted, (d,) float64.
        z: Receives x − mean in its own precision, (n, d).
        squares: Receives the squared lengths |x[i] − mean|², (n,) float64.
    """
    rows, width = x.shape
    for i in range(rows):
        total = 0.0
        for j in range(width):
            value = x[i, j] - mean[j]
            z[i, j] = value
            total += value * value
        squares[i] = total


@summing
def measure_rows(x, length):
    """Find each row's length.

    Args:
        x: The vectors, (n, d) float64, of which the squares are within the range of float64.
        length: Receives the Euclidean lengths, (n,) float64.
    """
    rows, width = x.shape
    for i in range(rows):
        total = 0.0
        for j in range(width):
            total += x[i, j] * x[i, j]
        length[i] = np.sqrt(total)


@summing
def project_rows(x, directions, places):
    """Find where rows lie along two directions.

    Args:
        x: The vectors, (n, d) float64.
        directions: The directions, (2, d) float64.
        places: Receives the inner products with both, (n, 2) float64.
    """
    rows, width = x.shape
    first, second = directions[0], directions[1]
    for i in range(rows):
        along, aside = 0.0, 0.0
        for j in range(width):
            along += x[i, j] * first[j]
            aside += x[i, j] * second[j]
        places[i, 0] = along
        places[i, 1] = aside


@compiled
def hash_rows(x, out):
    """Hash each row to 128 bits; equal numbers give equal hashes, and −0.0 counts as 0.0.

    Args:
        x: The vectors, (n, d) float64.
        out: Receives the hashes, (n, 2) int64.
    """
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


@compiled
def _root(group, i):
    while group[i] != i:
        group[i] = group[group[i]]
        i = group[i]
    return i


@compiled
def mark_close(along, aside, reach, close):
    """Find out which rows may lie within both of their reaches of another.

    Args:
        along: Where the rows lie on a line of unit length, ascending, (m,).
        aside: Where they lie on another such line, in the same order, (m,).
        reach: The reach of each row, in the same order, (m,) float64.
        close: Receives whether there is such a row, (m,) bool.
    """
    count, most = len(along), reach.max()
    for a in range(count):
        found = False
        for step in (1, -1):
            b = a + step
            while not found and 0 <= b < count and abs(along[b] - along[a]) <= reach[a] + most:
                limit = reach[a] + reach[b]
                found = abs(along[b] - along[a]) <= limit and abs(aside[b] - aside[a]) <= limit
                b += step
        close[a] = found


@inlined
def _is_apart(places, a, b, limit):
    """Return whether two rows are further apart than a limit along any line but the first."""
    line = 1
    while line < places.shape[0] and abs(places[line, b] - places[line, a]) <= limit:
        line += 1
    return line < places.shape[0]


@compiled
def group_close(x, rows, order, places, reach, group):
    """Group rows that are no further apart than both of their reaches together.

    Args:
        x: The vectors, (n, d) float64.
        rows: The rows that are considered, (m,).
        order: The numbers 0 … m − 1 in the order of the first line, (m,).
        places: Where the rows lie on lines of unit length, in this order, (lines, m);
            ascending on the first.
        reach: The reach of each row, in this order, (m,) float64.
        group: Receives the first member of the group of each row, (m,) int64; at first 0 … m − 1.
    """
    count, width = len(rows), x.shape[1]
    along = places[0]
    most = reach.max()
    for a in range(count):
        i = order[a]
        for b in range(a + 1, count):
            if along[b] - along[a] > reach[a] + most:
                break
            limit = reach[a] + reach[b]
            if _is_apart(places, a, b, limit):
                continue
            j = order[b]
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
