"""What becomes of a tile of inner products, and what is counted in it.

On the CPU compiled kernels do it, elsewhere torch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import kernels
from query.engine.resolution import FLOAT64
from query.engine.tiles import blocks

BAND = 4.0  # roundings that two values computed in different ways may be apart and yet be the same


def rounding(dtype: torch.dtype, width: int) -> float:
    """Return how far apart two values may be that are the same, relative to their size.

    Args:
        dtype: The precision in which they were computed.
        width: The number of elements of the vectors of which they are products.
    """
    roundings: float = torch.finfo(dtype).eps * (BAND + width**0.5 / 8)
    return max(roundings, FLOAT64)


def find_distances(
    tile: Tensor,
    out: Tensor,
    squares: Tensor,
    shift: Tensor,
    part: slice,
    other: slice,
    rows: Tensor,
) -> None:
    """Turn inner products into distances less shift_i + shift_j, and add their sums.

    Args:
        tile: Inner products of the systems `part` with the systems `other`, (b, w).
        out: Receives the distances, (b, w); it may be the tile.
        squares: The squared lengths of the vectors, (n,).
        shift: What is taken off each row and column, (n,).
        part: The systems of the rows.
        other: The systems of the columns.
        rows: The sums of each system's distances are added to these, (n,) float64.
    """
    if tile.device.type == "cpu":
        columns = torch.zeros(tile.shape[1], dtype=torch.float64)
        square, move, total = squares.numpy(), shift.numpy(), rows.numpy()
        of_rows_and_columns = square[part], square[other], move[part], move[other]
        own = part.start - other.start
        sums = total[part], columns.numpy()
        kernels.distances(tile.numpy(), out.numpy(), *of_rows_and_columns, own, *sums)
    else:
        _find_distances_torch(tile, out, squares, shift, part, other)
        rows[part] += out.sum(dim=1, dtype=torch.float64)
        columns = out.sum(dim=0, dtype=torch.float64)
    if part != other:
        rows[other] += columns


def _find_distances_torch(
    tile: Tensor, out: Tensor, squares: Tensor, shift: Tensor, part: slice, other: slice
) -> None:
    both = squares[part, None] + squares[other]
    torch.mul(tile, -2, out=out).add_(both)
    out.masked_fill_(out <= both.mul_(kernels.TWIN * torch.finfo(out.dtype).eps), 0).sqrt_()
    if part == other:
        out.fill_diagonal_(0)
    out.sub_(shift[other]).sub_(shift[part, None])


def tally_closer(
    tile: Tensor,
    squares: Tensor,
    part: slice,
    other: slice,
    limits: Tensor,
    precision: float,
    tallies: Tensor,
    begun: int = 0,
) -> None:
    """Tally the systems of the tile by the limits that they are closer than; see `closer_counts`.

    Tiles come in the order of `tiles.upper`.

    Args:
        tile: Inner products of the systems `part` with the systems `other`, (b, w), left as they
            are.
        squares: The squared lengths of the vectors, (n,).
        part: The systems of the rows.
        other: The systems of the columns.
        limits: Half the squared distances to compare with, but for a constant of the system,
            ascending for each system, (n, t).
        precision: The relative difference up to which two values are the same.
        tallies: The tallies, (n, t + 1) int32, added to.
        begun: The first of the systems that have been tallied. It decides how long this takes.
    """
    if tile.device.type != "cpu":
        _tally_closer_torch(tile, squares, part, other, limits, precision, tallies)
        return
    table, square, limit, found = (x.numpy() for x in (tile, squares, limits, tallies))
    bonus, precision = square / 2, square.dtype.type(precision)
    given = (limit[part], square[part], precision, other.start - begun, found[part])
    kernels.tally_rows(table, bonus[other], part.start - other.start, *given)
    if part != other:
        given = (limit[other], square[other], precision, part.start - begun, found[other])
        kernels.tally_columns(table, bonus[part], *given)


def _tally_closer_torch(
    tile: Tensor,
    squares: Tensor,
    part: slice,
    other: slice,
    limits: Tensor,
    precision: float,
    tallies: Tensor,
) -> None:
    closeness = squares[other] / 2 - tile
    if part == other:
        closeness.fill_diagonal_(torch.inf)
    else:
        _tally_torch(
            squares[part] / 2 - tile.T, limits[other], squares[other], precision, tallies[other]
        )
    _tally_torch(closeness, limits[part], squares[part], precision, tallies[part])


def _tally_torch(
    values: Tensor, limits: Tensor, squares: Tensor, precision: float, tallies: Tensor
) -> None:
    """Search the limits of each row for its values, and count those at each place."""
    values, band = values.contiguous(), precision * (squares[:, None] + limits.abs())
    for edges in (limits - band, limits + band):
        for rows in blocks(len(values), values.shape[1] * torch.int64.itemsize):
            places = torch.searchsorted(edges[rows], values[rows], right=True)
            one = torch.ones((), dtype=torch.int32, device=values.device).expand(places.shape)
            tallies[rows].scatter_add_(1, places, one)


def closer_counts(tallies: Tensor, order: Tensor) -> Tensor:
    """Return how many systems are closer than each limit, without and with ties added up.

    Args:
        tallies: What `tally_closer` found for limits in ascending order, (n, t + 1).
        order: The place that each of these limits had before they were sorted, (n, t).

    Returns:
        The counts for limits as they were before, (n, t) int32.
    """
    counts = tallies[:, :-1].cumsum(dim=1, dtype=torch.int32)
    return torch.empty_like(counts).scatter_(1, order.to(torch.int64), counts)


def closeness_of(
    z: Tensor, half_squares: Tensor, wanted: NDArray[np.int32], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return half the squared distance to some systems, but for a constant of the row, sorted.

    Args:
        z: The centered vectors, (n, d), in the precision of the tiles.
        half_squares: Half their squared lengths, (n,).
        wanted: The systems, (n, t).
        device: Where the result is held.

    Returns:
        The values, ascending for each row, (n, t), and the place in `wanted` that each belongs to,
        (n, t) int16 or int32.
    """
    limits = np.empty(wanted.shape, dtype=z.cpu().numpy().dtype)
    kernels.thresholds(z.cpu().numpy(), half_squares.cpu().numpy(), wanted, limits)
    found = torch.from_numpy(limits).to(device).sort(dim=1)
    short = wanted.shape[1] <= torch.iinfo(torch.int16).max
    return found.values, found.indices.to(torch.int16 if short else torch.int32)
