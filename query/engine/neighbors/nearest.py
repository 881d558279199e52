"""The k nearest neighbors of every system, exact in float64, from float32 tiles.

A tile of products serves its rows and, transposed, its columns, so that half of all pairs are
enough. From it every system keeps a few more candidates than it needs; their values are then
computed again in float64, from the normalized vectors themselves. If rounding to float32 could have
kept a neighbor off the list, the whole row is searched again in float64. So neither tiles nor the
machine nor the order of the systems decides who is a neighbor. Of systems that tie, `nearest` takes
the first; `query.engine.neighbors.search` keeps them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine.neighbors.candidates import best_candidates, score_candidates
from query.engine.tiles import FLOAT64_BYTES, blocks

# Values closer than this, relative to the largest they could be, are ties. Float64 products of
# 4,096 elements are good to about 1e-14, so it never matters which of two equal values happens to
# be rounded up.
TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The neighbor lists of one model, the closest first.

    Attributes:
        index: The neighbors, (n, k) or (r, k), never the row itself.
        value: Inner products, falling, or squared Euclidean distances, rising, of the same shape.
    """

    index: NDArray[np.int32]
    value: NDArray[np.float64]


def nearest(
    x: Tensor,
    k: int,
    geometry: str = "inner",
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | None = None,
    advance: Callable[[int], object] = lambda pairs: None,
    rows: NDArray[np.int64] | None = None,
    among: int | None = None,
) -> Neighbors:
    """Return the k nearest other rows of every row, or of some.

    Of tied candidates those that come first in the table are taken. This is good for a map, or for
    the distances themselves, and not for who is whose neighbor; see `query.engine.neighbors.lists`.

    Args:
        x: The vectors, (n, d) float64.
        k: The number of neighbors, below n.
        geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
        dtype: The precision of the tiles of products.
        device: Where the tiles are computed; that of x if None.
        advance: Called with the number of pairs of systems that each tile covered.
        rows: The rows that get a list, (r,) ascending; all if None.
        among: With rows that are none of these: the first rows, at least k, among which neighbors
            are looked for; None is all.
    """
    slack = _slack(x, geometry)
    given = (x, k, geometry, slack, dtype, device, advance, rows, among)
    index, exact, limit = best_candidates(*given)
    owners = np.arange(len(x)) if rows is None else rows
    unsure = np.flatnonzero(limit >= exact[:, k - 1] - slack[owners])
    index, exact = index[:, :k], exact[:, :k]
    if unsure.size:
        index[unsure], exact[unsure] = _whole_rows(x, owners[unsure], k, geometry, slack, among)
    value = exact if geometry == "inner" else -exact
    return Neighbors(np.ascontiguousarray(index), np.ascontiguousarray(value))


def _slack(x: Tensor, geometry: str) -> NDArray[np.float64]:
    """Return how close two values of a row are that count as tied, (n,)."""
    if geometry == "inner":
        lengths = torch.linalg.vector_norm(x, dim=1)
    else:
        lengths = torch.linalg.vector_norm(x - x.mean(dim=0), dim=1)
    tied: NDArray[np.float64] = (TIE * lengths * lengths.amax()).cpu().numpy()
    return tied


def _whole_rows(
    x: Tensor,
    rows: NDArray[np.intp],
    k: int,
    geometry: str,
    slack: NDArray[np.float64],
    among: int | None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the k best of whole rows in float64 and their values, (len(rows), k)."""
    centered = x - x.mean(dim=0) if geometry == "euclidean" else x
    bonus = (
        centered.square().sum(dim=1) / -2
        if geometry == "euclidean"
        else torch.zeros(len(x), dtype=x.dtype)
    )
    found = []
    for part in blocks(len(rows), len(x) * FLOAT64_BYTES):
        chosen = torch.from_numpy(rows[part])
        tile = centered[chosen] @ centered.T + bonus.to(x.device)
        tile[torch.arange(len(chosen)), chosen] = -torch.inf
        tile = tile[:, :among]
        found.append(top(tile, k, torch.from_numpy(slack[rows[part]]).to(x.device)))
    index = torch.cat(found).to(torch.int32).cpu().numpy()
    return score_candidates(x, index, geometry, slack, rows)


def top(tile: Tensor, k: int, slack: Tensor) -> Tensor:
    """Return the columns of the k largest values of each row, (b, k) int64, ascending.

    Of values that are within `slack` of the k-th, the first columns are taken.

    Args:
        tile: The values, (b, n).
        k: How many, below n.
        slack: How far apart two values of a row may be and still be tied, (b,).
    """
    limit = tile.topk(k, dim=1).values[:, -1:]
    larger = tile > limit + slack[:, None]
    tied = (tile >= limit - slack[:, None]) & ~larger
    free = k - larger.sum(dim=1, keepdim=True)
    chosen = larger | (tied & (tied.cumsum(dim=1) <= free))
    return chosen.nonzero()[:, 1].view(-1, k)
