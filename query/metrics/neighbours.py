"""The k nearest neighbours of every system by inner product, found tile by tile, ties broken by row order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from query.metrics.tiles import blocks, tile_rows

# Kernel values closer than this, relative to the largest they could be, are ties. Float64 products of 4,096 elements
# are good to about 1e-14, so which of two equal values a matrix product happens to round up never decides.
TIE = 1e-12
MARGIN = 8  # candidates kept beyond k; where a tie reaches further, the whole row is looked at
MATCH_BYTES = 16 * 2**20  # of one (B, n, k) index array; a handful of them live at once
FILTER_BYTES = 4 * 2**20  # about what stays in a core's cache


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Neighbour lists of one model."""

    index: Tensor  # (n, k) int64, ascending in every row; never the row itself
    value: Tensor  # (n, k) float64, the inner products with them

    @property
    def n(self) -> int:
        return self.index.shape[0]

    @property
    def k(self) -> int:
        return self.index.shape[1]


@dataclass(frozen=True, slots=True)
class Matches:
    """Edges that two models share, for each of B pairings. All (m,) int64."""

    pairing: Tensor  # which of the B
    row: Tensor  # the system, numbered as in a
    place: Tensor  # where a's list of that row holds the neighbour
    partner: Tensor  # the row of b that is paired with it
    partner_place: Tensor  # where b's list of that row holds the neighbour


def nearest(x: Tensor, k: int) -> Neighbours:
    """The k other rows with the largest inner product.

    x: (n, d) float64, k < n. Of tied candidates those that come first in the table are taken, so that neither tiling
    nor the order in which a product sums changes a list. Where two models tie they therefore take the same systems:
    duplicated systems raise the overlap.
    """
    n = x.shape[0]
    lengths = torch.linalg.vector_norm(x, dim=1)
    slack = TIE * lengths * lengths.amax()
    index = torch.empty(n, k, dtype=torch.int64, device=x.device)
    value = torch.empty(n, k, dtype=x.dtype, device=x.device)
    for rows in tile_rows(n):
        tile = x[rows] @ x.T
        tile.diagonal(rows.start).fill_(-torch.inf)
        index[rows] = top(tile, k, slack[rows])
        value[rows] = tile.gather(1, index[rows])
    return Neighbours(index, value)


def top(tile: Tensor, k: int, slack: Tensor) -> Tensor:
    """Columns of the k largest values of each row, ascending; of values within `slack` of the k-th, the first columns.

    tile: (b, n), k < n. slack: (b,). Returns (b, k) int64.
    """
    width = tile.shape[1] - 1  # the row itself is no candidate
    values, columns = tile.topk(min(k + MARGIN, width), dim=1)
    chosen = _choose(values, columns, k, slack)
    reaches_end = values[:, -1] >= values[:, k - 1] - slack
    if values.shape[1] < width and reaches_end.any():
        values, columns = tile[reaches_end].topk(width, dim=1)
        chosen[reaches_end] = _choose(values, columns, k, slack[reaches_end])
    return chosen.sort(dim=1).values


def _choose(values: Tensor, columns: Tensor, k: int, slack: Tensor) -> Tensor:
    """The k candidates of lowest priority number: clear winners, then ties by column, then the rest."""
    limit = values[:, k - 1 : k]
    slack = slack[:, None]
    n = int(columns.max()) + 1
    priority = torch.where(values > limit + slack, columns - n, columns)
    priority = torch.where(values < limit - slack, columns + n, priority)
    return columns.gather(1, priority.topk(k, dim=1, largest=False).indices)


def reciprocated(neighbours: Neighbours) -> Tensor:
    """(n, k) bool: whether the neighbour also counts the row among its own."""
    n, index = neighbours.n, neighbours.index
    edges = _edges(index)
    mirrored = (index * n + torch.arange(n, device=index.device)[:, None]).flatten()
    place = torch.searchsorted(edges, mirrored).clamp_(max=edges.numel() - 1)
    return (edges[place] == mirrored).view_as(index)


def match(a: Tensor, b: Tensor, permutations: Tensor) -> Matches:
    """Edges i → j of a such that b has permutation[i] → permutation[j].

    a, b: (n, k) neighbour lists. permutations: (B, n) int64, B small enough for `pairing_blocks`.
    """
    n, k = b.shape
    sought = permutations.index_select(1, a.flatten())  # (B, n·k): a's neighbours in b's numbering
    candidates = _probable(b, sought, permutations)
    pairing, edge = candidates // (n * k), candidates % (n * k)
    row = edge // k
    partner = permutations[pairing, row]
    edges = _edges(b)
    wanted = partner * n + sought.flatten()[candidates]
    place = torch.searchsorted(edges, wanted).clamp_(max=n * k - 1)
    found = edges[place] == wanted
    return Matches(pairing[found], row[found], (edge % k)[found], partner[found], (place % k)[found])


def itself(index: Tensor) -> Matches:
    """What `match` finds between a model and itself, paired as it stands: every edge."""
    row, place = torch.ones_like(index).nonzero(as_tuple=True)
    return Matches(torch.zeros_like(row), row, place, row, place)


def _probable(b: Tensor, sought: Tensor, permutations: Tensor) -> Tensor:
    """Places in `sought` whose edge b may have, (m,) int64; none that it has is left out.

    One look at a table of bits instead of a search: under a permutation nearly every edge is dismissed here.
    """
    n, k = b.shape
    slots = 1 << max(0, min((n - 1).bit_length(), (FILTER_BYTES // n).bit_length() - 1))
    row = torch.arange(n, device=b.device)[:, None]
    table = torch.zeros(n * slots, dtype=torch.bool, device=b.device)
    table[(row * slots + (b & (slots - 1))).flatten()] = True
    cells = (sought & (slots - 1)).view(-1, n, k).add_((permutations * slots)[:, :, None])
    return table.take(cells).flatten().nonzero().flatten()


def _edges(index: Tensor) -> Tensor:
    """Every edge i → j as one number, ascending, as rows and lists are; (n·k,) int64."""
    n = index.shape[0]
    return (torch.arange(n, device=index.device)[:, None] * n + index).flatten()


def pairing_blocks(count: int, index: Tensor) -> list[slice]:
    """Blocks of `count` pairings such that `match` stays small in memory."""
    return list(blocks(count, index.numel() * index.element_size(), MATCH_BYTES))


def identity(index: Tensor) -> Tensor:
    """The pairing of every row with itself, (1, n)."""
    return torch.arange(index.shape[0], device=index.device)[None]
