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

BAND = 4.0  # roundings that two values computed in different ways may be apart and yet be the same


def rounding(dtype: torch.dtype, width: int) -> float:
    """Return how far apart two values may be that are the same, relative to their size.

    Args:
        dtype: The precision in which they were computed.
        width: The number of elements of the vectors of which they are products.
    """
    roundings: float = torch.finfo(dtype).eps * (BAND + width**0.5 / 8)
    return max(roundings, FLOAT64)


def become_distances(
    tile: Tensor, squares: Tensor, shift: Tensor, part: slice, other: slice, rows: Tensor
) -> None:
    """Turn inner products into distances less shift_i + shift_j, in place, and add their sums.

    Args:
        tile: Inner products of the systems `part` with the systems `other`, (b, w).
        squares: The squared lengths of the vectors, (n,).
        shift: What is taken off each row and column, (n,).
        part: The systems of the rows.
        other: The systems of the columns.
        rows: The sums of each system's distances are added to these, (n,) float64.
    """
    if tile.device.type == "cpu":
        own = part.start - other.start
        columns = torch.zeros(tile.shape[1], dtype=torch.float64)
        table, square, move, total = tile.numpy(), squares.numpy(), shift.numpy(), rows.numpy()
        kernels.distances(
            table,
            square[part],
            square[other],
            move[part],
            move[other],
            own,
            total[part],
            columns.numpy(),
        )
    else:
        _become_distances_torch(tile, squares, shift, part, other)
        rows[part] += tile.sum(dim=1, dtype=torch.float64)
        columns = tile.sum(dim=0, dtype=torch.float64)
    if part != other:
        rows[other] += columns


def _become_distances_torch(
    tile: Tensor, squares: Tensor, shift: Tensor, part: slice, other: slice
) -> None:
    both = squares[part, None] + squares[other]
    tile.mul_(-2).add_(both)
    tile.masked_fill_(tile <= both.mul_(kernels.TWIN * torch.finfo(tile.dtype).eps), 0).sqrt_()
    if part == other:
        tile.fill_diagonal_(0)
    tile.sub_(shift[other]).sub_(shift[part, None])


def count_closer(
    tile: Tensor,
    squares: Tensor,
    part: slice,
    other: slice,
    limits: Tensor,
    precision: float,
    counts: Tensor,
) -> None:
    """Count the systems of the tile that are closer than each limit, without and with ties.

    Args:
        tile: Inner products of the systems `part` with the systems `other`, (b, w), left as they
            are.
        squares: The squared lengths of the vectors, (n,).
        part: The systems of the rows.
        other: The systems of the columns.
        limits: Half the squared distances to compare with, but for a constant of the system, (n,
            t).
        precision: The relative difference up to which two values are the same.
        counts: The counts, (n, t) int32, added to.
    """
    if tile.device.type != "cpu":
        _count_closer_torch(tile, squares, part, other, limits, precision, counts)
        return
    table, square, limit, found = (x.numpy() for x in (tile, squares, limits, counts))
    bonus, precision = square / 2, square.dtype.type(precision)
    own = part.start - other.start
    kernels.count_closer_rows(
        table, bonus[other], own, limit[part], square[part], precision, found[part]
    )
    if part != other:
        kernels.count_closer_columns(
            table, bonus[part], limit[other], square[other], precision, found[other]
        )


def _count_closer_torch(
    tile: Tensor,
    squares: Tensor,
    part: slice,
    other: slice,
    limits: Tensor,
    precision: float,
    counts: Tensor,
) -> None:
    closeness = squares[other] / 2 - tile
    if part == other:
        closeness.fill_diagonal_(torch.inf)
    else:
        _count_torch(
            squares[part] / 2 - tile.T, limits[other], squares[other], precision, counts[other]
        )
    _count_torch(closeness, limits[part], squares[part], precision, counts[part])


def _count_torch(
    values: Tensor, limits: Tensor, squares: Tensor, precision: float, counts: Tensor
) -> None:
    for t in range(limits.shape[1]):
        band = precision * (squares + limits[:, t].abs())
        for limit in (limits[:, t] - band, limits[:, t] + band):
            counts[:, t] += (values < limit[:, None]).sum(dim=1, dtype=torch.int32)


def closeness_of(
    z: Tensor, half_squares: Tensor, wanted: NDArray[np.int32], device: torch.device
) -> Tensor:
    """Return half the squared distance to some systems, but for a constant of the row, (n, t).

    Args:
        z: The centered vectors, (n, d), in the precision of the tiles.
        half_squares: Half their squared lengths, (n,).
        wanted: The systems, (n, t).
        device: Where the result is held.
    """
    limits = np.empty(wanted.shape, dtype=z.cpu().numpy().dtype)
    kernels.thresholds(z.cpu().numpy(), half_squares.cpu().numpy(), wanted, limits)
    return torch.from_numpy(limits).to(device)
