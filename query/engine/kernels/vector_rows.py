"""Kernels over the rows of a table of vectors: scaling, centering, hashing, grouping close rows."""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, summing


@compiled
def scale_rows(x, to_length, out, largest):
    """Divide each row by its largest absolute element, and then by its length if asked for.

    The largest element goes first because the squares of float64 extremes would overflow or vanish.

    Args:
        x: The vectors, (n, d).
        to_length: Whether rows get length 1; else their largest absolute element is 1.
        out: Receives the scaled rows, (n, d) float64. Zero rows and rows that are not finite are
            left as they were.
        largest: Receives the largest absolute element of each row, (n,) float64: 0 for a zero row,
            NaN for a row that holds NaN or infinity.
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


@compiled
def measure_rows(x, largest, length):
    """Find each row's largest absolute element and its length.

    Args:
        x: The vectors, (n, d) float64, of which the squares are within the range of float64.
        largest: Receives the largest absolute elements, (n,) float64.
        length: Receives the Euclidean lengths, (n,) float64.
    """
    rows, width = x.shape
    for i in range(rows):
        most, total = 0.0, 0.0
        for j in range(width):
            most = max(most, abs(x[i, j]))
            total += x[i, j] * x[i, j]
        largest[i] = most
        length[i] = np.sqrt(total)


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
def group_close(x, rows, order, along, aside, reach, group):
    """Group rows that are no further apart than both of their reaches together.

    Args:
        x: The vectors, (n, d) float64.
        rows: The rows that are considered, (m,).
        order: The numbers 0 … m − 1 in the order of `along`, (m,).
        along: Where the rows lie on a line of unit length, ascending, (m,).
        aside: Where they lie on another such line, in the same order, (m,).
        reach: The reach of each row, (m,) float64.
        group: Receives the first member of the group of each row, (m,) int64; at first 0 … m − 1.
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
