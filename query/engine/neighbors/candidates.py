"""Which systems can be nearest: a few more candidates than needed, by tiles of products.

For the lists of all systems a tile of products serves its rows and, transposed, its columns, so
that half of all pairs are enough; for those of some, strips of these rows against all columns are
computed. The values of the candidates are then computed again in float64, from the normalized
vectors themselves, and what rounding in the tiles may have kept off the list is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import kernels, threads
from query.engine.tiles import cut, product_tile, upper

# Candidates kept beyond those asked for, so that rounding near the last one does no harm.
MARGIN = 8


@dataclass(frozen=True, slots=True)
class _Frame:
    """One model's vectors about their mean: values are z_i·z_j + bonus_j + c_i.

    Attributes:
        z: The vectors, (n, d), in the precision of the tiles.
        bonus: See above, (n,), in the same precision.
        constant: c, what all values of a row have in common, (n,) float64.
        error: How far the values of a row may be off, (n,) float64.
    """

    z: Tensor
    bonus: Tensor
    constant: Tensor
    error: Tensor


def best_candidates(
    x: Tensor,
    k: int,
    geometry: str,
    slack: NDArray[np.float64],
    dtype: torch.dtype,
    device: torch.device | None,
    advance: Callable[[int], object],
    rows: NDArray[np.int64] | None = None,
    among: int | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Return k and a few more systems of each row, and what no other system exceeds.

    Args:
        x: The vectors, (n, d) float64.
        k: The number of neighbors, below n.
        geometry: 'inner' or 'euclidean'.
        slack: How far apart two values of a row may be and still be tied, (n,).
        dtype: The precision of the tiles of products.
        device: Where the tiles are computed; that of x if None.
        advance: Called with the number of pairs of systems that each tile covered.
        rows: The systems whose nearest are found, (b,) ascending; all if None, b = n.
        among: With rows that are none of these: the first systems, among which neighbors are
            looked for; None is all.

    Returns:
        The systems, (b, c); their values in float64, best first, negative for distances, (b, c);
        and the value that no other system of the row exceeds, −inf if there is no other, (b,).
    """
    n = len(x) if among is None else among
    if k + MARGIN >= n - 1:  # all other systems are candidates
        chosen = np.arange(n) if rows is None else rows
        advance(len(chosen) * n)
        first = 1 if among is None else 0
        others = ((chosen[:, None] + np.arange(first, n)) % n).astype(np.int32)
        limit = np.full(len(chosen), -np.inf)
        return *score_candidates(x, others, geometry, slack, rows), limit
    frame = _frame(x, geometry, dtype, x.device if device is None else device)
    if rows is None:
        values, index = _candidates(frame, k + MARGIN, advance)
    else:
        values, index = _strip_candidates(frame, rows, k + MARGIN, advance, n)
    index, exact = score_candidates(x, index, geometry, slack, rows)
    around = (frame.constant + frame.error).cpu()
    most = torch.from_numpy(values).to(torch.float64)
    most += around if rows is None else around[torch.from_numpy(rows)]
    # A product and two lengths give half the squared distance.
    most *= 1 if geometry == "inner" else 2
    return index, exact, most.numpy()


def center(x: Tensor, mean: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the rows less their mean, and their squared lengths.

    Args:
        x: The vectors, (n, d) float64.
        mean: Their mean, (d,) float64.
        dtype: The precision of the rows that are returned.

    Returns:
        The rows, (n, d), and their squared lengths, (n,) float64.
    """
    # numpy asks for large pages, which are four times as quick to fill as torch's.
    z = np.empty(x.shape, np.float32 if dtype == torch.float32 else np.float64)
    table, about, squares = x.numpy(), mean.numpy(), np.empty(len(x))
    threads.each(
        lambda p: kernels.center_rows(table[p], about, z[p], squares[p]), threads.parts(len(x))
    )
    return torch.from_numpy(z), torch.from_numpy(squares)


def _frame(x: Tensor, geometry: str, dtype: torch.dtype, device: torch.device) -> _Frame:
    mean = x.mean(dim=0)
    z, squares = center(x, mean, dtype)
    if geometry == "inner":
        bonus = x @ mean - mean @ mean
        constant = bonus + mean @ mean
    else:
        bonus = squares / -2
        constant = bonus
    # The rounding of elements to the tile's precision, then that of a sum of d products, which
    # grows about as √d.
    precision = torch.finfo(dtype).eps
    largest = squares.sqrt().amax()
    error = precision * (
        (4 + x.shape[1] ** 0.5) * squares.sqrt() * largest + 2 * bonus.abs().amax()
    )
    return _Frame(z.to(device), bonus.to(device, dtype), constant, error)


def _candidates(
    frame: _Frame, count: int, advance: Callable[[int], object]
) -> tuple[NDArray[np.floating], NDArray[np.int32]]:
    """Return the least value and the index of each row's `count` best by the tiles, unordered."""
    n, device = len(frame.z), frame.z.device
    search = _search_cpu if device.type == "cpu" else _search_torch
    values = torch.full((n, count), -torch.inf, dtype=frame.z.dtype, device=device)
    index = torch.zeros((n, count), dtype=torch.int32, device=device)
    rows, columns = product_tile(device)
    buffer = torch.empty(rows * max(rows, columns), dtype=frame.z.dtype, device=device)
    # A row's first tile is that on the diagonal, from which `_search_cpu` learns what is near.
    for part, other in sorted(upper(n, rows, columns), key=lambda tile: tile[0] != tile[1]):
        shape = (part.stop - part.start, other.stop - other.start)
        search(buffer[: shape[0] * shape[1]].view(shape), frame, part, other, values, index)
        advance(shape[0] * shape[1] * (1 if part == other else 2))
    return values.amin(dim=1).cpu().numpy(), index.cpu().numpy()


def _strip_candidates(
    frame: _Frame, rows: NDArray[np.int64], count: int, advance: Callable[[int], object], among: int
) -> tuple[NDArray[np.floating], NDArray[np.int32]]:
    """Return what `_candidates` does, of some rows and among the first systems."""
    device = frame.z.device
    values = torch.full((len(rows), count), -torch.inf, dtype=frame.z.dtype, device=device)
    index = torch.zeros((len(rows), count), dtype=torch.int32, device=device)
    height, width = product_tile(device)
    buffer = torch.empty(height * width, dtype=frame.z.dtype, device=device)
    for part in cut(len(rows), height):
        own = frame.z[torch.from_numpy(rows[part]).to(device)]
        for other in cut(among, width):
            shape = (len(own), other.stop - other.start)
            tile = buffer[: shape[0] * shape[1]].view(shape)
            torch.mm(own, frame.z[other].T, out=tile)
            here = np.flatnonzero((rows[part] >= other.start) & (rows[part] < other.stop))
            tile[here, rows[part][here] - other.start] = -torch.inf  # nobody is its own neighbor
            _push_strip(tile, frame.bonus[other], other.start, values[part], index[part])
            advance(shape[0] * shape[1])
    return values.amin(dim=1).cpu().numpy(), index.cpu().numpy()


def _push_strip(tile: Tensor, bonus: Tensor, first: int, values: Tensor, index: Tensor) -> None:
    if tile.device.type != "cpu":
        _merge(tile + bonus, first, values, index)
        return
    table, add, heap, names = tile.numpy(), bonus.numpy(), values.numpy(), index.numpy()
    nowhere = -len(table)  # no column of the tile is any row's own

    def push(rows: slice) -> None:
        kernels.push_rows(table[rows], add, nowhere, first, heap[rows], names[rows])

    threads.each(push, threads.parts(len(table)))


def _search_cpu(
    tile: Tensor, frame: _Frame, part: slice, other: slice, values: Tensor, index: Tensor
) -> None:
    table, add, heap, names = tile.numpy(), frame.bonus.numpy(), values.numpy(), index.numpy()
    z, own = frame.z[part], part.start - other.start

    def push_rows(rows: slice) -> None:
        torch.mm(z[rows], frame.z[other].T, out=tile[rows])
        there = slice(part.start + rows.start, part.start + rows.stop)
        if part == other:
            _expect(heap[there], table[rows] + add[other], own + rows.start)
        kernels.push_rows(
            table[rows], add[other], own + rows.start, other.start, heap[there], names[there]
        )

    def push_columns(columns: slice) -> None:
        there = slice(other.start + columns.start, other.start + columns.stop)
        kernels.push_columns(table[:, columns], add[part], part.start, heap[there], names[there])

    threads.each(push_rows, threads.parts(table.shape[0], 64))
    if part != other:
        threads.each(push_columns, threads.parts(table.shape[1]))


def _expect(heap: NDArray[np.floating], values: NDArray[np.floating], own: int) -> None:
    """Fill empty heaps, (b, c), with a number just below the c-th largest of their rows' values.

    Else most values of the first tile would enter a heap and leave it again.

    values: (b, w); row i's own system has the column own + i.
    """
    count, width = heap.shape[1], values.shape[1]
    if count < width:
        values[np.arange(len(values)), own + np.arange(len(values))] = -np.inf
        least = np.partition(values, width - count, axis=1)[:, width - count]
        heap[:] = np.nextafter(least, np.float32(-np.inf))[:, None]


def _search_torch(
    tile: Tensor, frame: _Frame, part: slice, other: slice, values: Tensor, index: Tensor
) -> None:
    bonus = frame.bonus
    torch.mm(frame.z[part], frame.z[other].T, out=tile)
    if part == other:
        tile.fill_diagonal_(-torch.inf)
    else:
        _merge(tile.T + bonus[part], part.start, values[other], index[other])
    _merge(tile + bonus[other], other.start, values[part], index[part])


def _merge(found: Tensor, first: int, values: Tensor, index: Tensor) -> None:
    """Keep the largest of what each row has and is offered, in place; names begin with `first`."""
    count = values.shape[1]
    best, place = found.topk(min(count, found.shape[1]), dim=1)
    best = torch.cat([values, best], dim=1)
    names = torch.cat([index, (place + first).to(torch.int32)], dim=1)
    best, place = best.topk(count, dim=1)
    values.copy_(best)
    index.copy_(names.gather(1, place))


def score_candidates(
    x: Tensor,
    index: NDArray[np.int32],
    geometry: str,
    slack: NDArray[np.float64],
    rows: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return lists with their values in float64, best first.

    Args:
        x: The vectors, (n, d) float64.
        index: The systems of each list, (b, c), sorted in place.
        geometry: 'inner' or 'euclidean'.
        slack: How far apart two values of a row may be and still be tied, (n,).
        rows: The systems that the lists belong to, (b,); all if None.
    """
    exact = np.empty(index.shape)
    table = x.cpu().numpy()
    compute = kernels.inner_products if geometry == "inner" else kernels.squared_distances

    def score(part: slice) -> None:
        owners = np.arange(part.start, part.stop) if rows is None else rows[part]
        compute(table, owners, index[part], exact[part])
        if geometry == "euclidean":
            np.negative(exact[part], out=exact[part])
        kernels.order_by_value(exact[part], index[part], slack[owners])

    threads.each(score, threads.parts(len(index), 64))
    return index, exact
