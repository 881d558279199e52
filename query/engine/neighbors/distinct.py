"""Neighbor lists of distinct vectors, from candidates that are sure, or else from whole rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import kernels, threads
from query.engine.neighbors.candidates import best_candidates
from query.engine.neighbors.lists import NeighborLists, offsets, require_room
from query.engine.resolution import SPREAD, Resolution
from query.engine.tiles import FLOAT64_BYTES, blocks


def flat_lists(
    x: Tensor,
    which: NDArray[np.int64] | None,
    k: int,
    geometry: str,
    resolution: Resolution,
    name: str,
    dtype: torch.dtype,
    device: torch.device | None,
    advance: Callable[[int], object],
) -> tuple[NeighborLists, Tensor]:
    """Return the lists of distinct vectors, and these.

    Args:
        x: The normalized vectors, (n, d) float64.
        which: The numbers of the vectors that get a list, (m,) ascending; all if None.
        k: The number of neighbors, below n.
        geometry: 'inner' or 'euclidean'.
        resolution: What the precision of the vectors can tell apart.
        name: How reasons call the model.
        dtype: The precision of the tiles of products.
        device: Where the tiles are computed; that of x if None.
        advance: Called with the number of pairs of systems that each tile covered.

    Returns:
        The lists, whose entries are numbers of distinct vectors, and the distinct vectors, (m, d).

    Raises:
        Undefined: Too many systems tie.
    """
    distinct = first_of_distinct(resolution.label)
    u = x if len(distinct) == len(x) else x[torch.from_numpy(distinct)]
    every = empty_lists(x, u, k, geometry, resolution, distinct)
    lists = every if which is None else replace(every, slack=every.slack[which])
    few = min(k, len(u) - 1)
    given = (u, few, geometry, np.zeros(len(u)), dtype, device, advance, which)
    index, exact, limit = best_candidates(*given)
    flat, unsure = _keep_sure(lists, index, exact, limit, few)
    if unsure.size:
        rows = unsure if which is None else which[unsure]
        flat = flat.with_lists(unsure, whole_rows(u, rows, few, every, name))
    return flat, u


def empty_lists(
    x: Tensor, u: Tensor, k: int, geometry: str, resolution: Resolution, distinct: NDArray[np.int64]
) -> NeighborLists:
    """Return lists without any entry.

    Args:
        x: The normalized vectors, (n, d) float64.
        u: The distinct ones.
        k: The number of neighbors.
        geometry: 'inner' or 'euclidean'.
        resolution: What the precision of the vectors can tell apart.
        distinct: A system of each distinct vector.
    """
    grain = resolution.grain[distinct]
    if geometry == "inner":
        lengths = torch.linalg.vector_norm(u, dim=1).numpy()
        slack, relative = SPREAD * (grain * lengths.max() + lengths * grain.max()), 0.0
    else:
        # The rounding of a neighbor's vector is bounded by that of the owner's vector and that
        # of the difference between the two.
        slack, relative = 2 * SPREAD * grain, SPREAD * resolution.precision
    begin = np.zeros(len(u) + 1, np.int64)
    nothing = np.empty(0, np.int32), np.empty(0)
    return NeighborLists(
        k, *nothing, begin, np.arange(len(u)), slack, relative, geometry == "inner"
    )


def _keep_sure(
    lists: NeighborLists,
    index: NDArray[np.int32],
    exact: NDArray[np.float64],
    limit: NDArray[np.float64],
    k: int,
) -> tuple[NeighborLists, NDArray[np.intp]]:
    """Return lists of what `best_candidates` found, and which of them may lack a neighbor."""
    value = exact if lists.products else -exact
    flat = _keep(lists, index.ravel(), value.ravel(), np.arange(len(index) + 1) * index.shape[1], k)
    reach = _reach(lists, value[:, k - 1])
    return flat, np.flatnonzero(limit >= reach if lists.products else -limit <= reach)


def _keep(
    lists: NeighborLists,
    index: NDArray[np.int32],
    value: NDArray[np.float64],
    begin: NDArray[np.int64],
    k: int,
) -> NeighborLists:
    """Return lists of these candidates: the k nearest and those that tie with the k-th."""
    kept, its = np.empty_like(index), np.empty_like(value)
    length = np.empty(len(begin) - 1, np.int64)
    ties = (lists.slack, lists.relative, lists.products)
    end = kernels.keep_near(index, value, begin, k, *ties, kept, its, length)
    return replace(lists, index=kept[:end].copy(), value=its[:end].copy(), begin=offsets(length))


def whole_rows(
    u: Tensor, rows: NDArray[np.int64], k: int, lists: NeighborLists, name: str
) -> NeighborLists:
    """Return the lists of some vectors, each searched as a whole row in float64.

    Args:
        u: The distinct vectors, (m, d) float64.
        rows: Which of them.
        k: The number of neighbors.
        lists: Lists of all, with the precision that says what ties.
        name: How reasons call the model.

    Raises:
        Undefined: Too many systems tie.
    """
    mean = u.mean(dim=0)
    centered = u - mean
    squares = centered.square().sum(dim=1)
    left = u if lists.products else centered
    longest = torch.linalg.vector_norm(left, dim=1).amax() * squares.amax().sqrt()
    error = torch.finfo(u.dtype).eps * (16 + u.shape[1] ** 0.5) * float(longest)
    parts: list[NeighborLists] = []
    entries = 0
    for part in blocks(len(rows), len(u) * FLOAT64_BYTES):
        some = replace(lists, slack=lists.slack[rows[part]])
        chosen = torch.from_numpy(rows[part])
        tile = left[chosen] @ centered.T
        if not lists.products:  # minus half the squared distance, but for a constant of the row
            tile -= squares / 2
        tile[torch.arange(len(chosen)), chosen] = -torch.inf
        last = tile.topk(k, dim=1).values[:, -1].numpy()
        near = torch.from_numpy(_least(some, last, squares[chosen].numpy(), error))
        owner, column = (tile >= near[:, None]).nonzero().numpy().T
        begin = offsets(np.bincount(owner, minlength=len(chosen)))
        index, value = column.astype(np.int32), np.empty(len(column))
        _score(u, rows[part], index, begin, lists.products, value)
        parts.append(_keep(some, index, value, begin, k))
        entries += len(parts[-1].index)
        require_room(entries, name, len(u))
    return replace(
        lists,
        index=np.concatenate([part.index for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        begin=offsets(np.concatenate([np.diff(part.begin) for part in parts])),
        slack=lists.slack[rows],
    )


def _least(
    lists: NeighborLists, last: NDArray[np.float64], squares: NDArray[np.float64], error: float
) -> NDArray[np.float64]:
    """Return the least value in a tile that may tie with the k-th of its row, `last`.

    squares: The squared lengths of the rows' vectors.
    """
    if lists.products:
        return last - lists.slack - error
    return (squares - _reach(lists, np.maximum(squares - 2 * last, 0.0) + 2 * error)) / 2 - error


def _reach(lists: NeighborLists, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the furthest value that ties with each of these, one per list."""
    if lists.products:
        return value - lists.slack
    roots = np.sqrt(value)
    return np.square(roots + lists.slack + lists.relative * roots)


def _score(
    u: Tensor,
    rows: NDArray[np.int64],
    index: NDArray[np.int32],
    begin: NDArray[np.int64],
    products: bool,
    out: NDArray[np.float64],
) -> None:
    """Fill in the value of every entry, from the vectors themselves."""
    table = u.numpy()
    compute = kernels.inner_products if products else kernels.squared_distances

    def score(part: slice) -> None:
        for q in range(part.start, part.stop):
            entries = slice(begin[q], begin[q + 1])
            compute(table, rows[q : q + 1], index[None, entries], out[None, entries])

    threads.each(score, threads.parts(len(rows), 64))


def first_of_distinct(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one system of each distinct vector, the first.

    Args:
        label: The number of the distinct vector that each system has, (n,).
    """
    return np.unique(label, return_index=True)[1]


def own_values(u: Tensor, products: bool) -> NDArray[np.float64]:
    """Return the value of each vector with itself.

    Args:
        u: The vectors.
        products: Whether values are inner products; else they are squared distances.
    """
    own: NDArray[np.float64] = (u.square().sum(dim=1) if products else u.new_zeros(len(u))).numpy()
    return own
