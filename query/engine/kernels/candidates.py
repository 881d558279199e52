"""Kernels that find each system's nearest systems: heaps over product tiles, and exact values."""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled, inlined, summing

STEP = 64  # candidates compared in one vectorized loop before any of them enters a heap


@inlined
def _replace_least(values, index, value, name):
    """Put (value, name) in the place of the least entry of a min-heap."""
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


@compiled
def push_rows(tile, bonus, own, first_column, values, index):
    """Offer tile[i, j] + bonus[j] to the heap of row i under the name first_column + j.

    Args:
        tile: Inner products, (b, w).
        bonus: What is added to each column, (w,).
        own: The column of row 0's own system; row i has own + i. It may lie outside of the tile.
        first_column: The number of the system of column 0.
        values: One min-heap per row, (b, c), changed in place.
        index: The names of the heaps' values, (b, c) int32, changed in place.
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


@compiled
def push_columns(tile, bonus, first_row, values, index):
    """Offer tile[i, j] + bonus[i] to the heap of column j under the name first_row + i.

    Args:
        tile: Inner products, (b, w).
        bonus: What is added to each row, (b,).
        first_row: The number of the system of row 0.
        values: One min-heap per column, (w, c), changed in place.
        index: The names of the heaps' values, (w, c) int32, changed in place.
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


@summing
def inner_products(x, owners, index, out):
    """Compute ⟨x[owners[i]], x[index[i, s]]⟩.

    Two rows get the same number for each other, whichever of them owns the list.

    Args:
        x: The vectors, (n, d) float64.
        owners: The systems that lists belong to, (b,).
        index: The systems of each list, (b, s).
        out: Receives the products, (b, s) float64.
    """
    rows, count = index.shape
    for i in range(rows):
        own = x[owners[i]]
        for s in range(count):
            other = x[index[i, s]]
            total = 0.0
            for j in range(own.shape[0]):
                total += own[j] * other[j]
            out[i, s] = total


@summing
def squared_distances(x, owners, index, out):
    """Compute |x[owners[i]] − x[index[i, s]]|².

    It is computed from differences, so that close rows keep their digits.

    Args:
        x: The vectors, (n, d) float64.
        owners: The systems that lists belong to, (b,).
        index: The systems of each list, (b, s).
        out: Receives the squared distances, (b, s) float64.
    """
    rows, count = index.shape
    for i in range(rows):
        own = x[owners[i]]
        for s in range(0, count, 2):  # two rows arrive from memory sooner than one after the other
            next_s = min(s + 1, count - 1)
            one, other = x[index[i, s]], x[index[i, next_s]]
            total, next_total = 0.0, 0.0
            for j in range(own.shape[0]):
                difference, next_difference = own[j] - one[j], own[j] - other[j]
                total += difference * difference
                next_total += next_difference * next_difference
            out[i, s], out[i, next_s] = total, next_total


@compiled
def order_by_value(values, index, slack):
    """Sort each row by falling value, and values that are tied by rising index.

    Args:
        values: The values, (b, s) float64, sorted in place.
        index: The systems that have these values, (b, s), sorted with them.
        slack: How far apart two values of a row may be and still be tied, (b,).
    """
    rows, count = values.shape
    # Loops over elements: numba takes 7 s longer to compile the same in operations on slices.
    key, value, name = np.empty(count), np.empty(count), np.empty(count, index.dtype)
    place = np.empty(count, np.int64)
    for i in range(rows):
        for s in range(count):
            value[s], name[s], key[s] = values[i, s], index[i, s], -values[i, s]
        order = np.argsort(key)
        start = 0
        while start < count:
            stop = start + 1
            while stop < count and value[order[stop - 1]] - value[order[stop]] <= slack[i]:
                stop += 1
            if stop - start > 1:
                for s in range(start, stop):
                    key[s], place[s] = name[order[s]], order[s]
                by_index = np.argsort(key[start:stop])
                for s in range(start, stop):
                    order[s] = place[start + by_index[s - start]]
            start = stop
        for s in range(count):
            values[i, s], index[i, s] = value[order[s]], name[order[s]]
