"""Products of models' distances between the drawn systems and all systems.

As in `query.engine.sums`, distances first lose an estimate of their row and column means, which no
centering sees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import kernels, threads
from query.engine.devices import Scratch
from query.engine.neighbors.candidates import center
from query.engine.rows.drawn import DrawnRows
from query.engine.sums import CHUNK, Centered, row_means
from query.engine.tiles import cut

HEIGHT = 128  # rows of the strips that all models have at the same time
FAR = -(2**40)  # a column beyond every tile


class RowDistances(NamedTuple):
    """What was added up along the rows of the drawn systems.

    Attributes:
        place: The number that each model with values has in the arrays.
        products: Σ_j E_ij F_ij of the shifted distances, j = i included, (r, M, M).
        sums: Σ_j E_ij, j = i included, (M, r).
        diagonal: E_ii, (M, r).
    """

    place: dict[int, int]
    products: NDArray[np.float64]
    sums: NDArray[np.float64]
    diagonal: NDArray[np.float64]


def find_distances(drawn: DrawnRows) -> RowDistances:
    """Return sums of products of distances for all pairs of models that have values.

    Args:
        drawn: The drawn systems.
    """
    comparison = drawn.comparison
    usable = [i for i in range(len(comparison)) if comparison.reason(i) is None]
    with Scratch(comparison.device) as scratch:
        models = []
        for i in usable:
            x = comparison.vectors(i)
            z, squares = center(x, x.mean(dim=0), comparison.dtype)
            models.append(Centered(scratch.hold(z), squares))
        found = _add_up(drawn, models)
        models.clear()
    return RowDistances({i: place for place, i in enumerate(usable)}, *found)


def _add_up(
    drawn: DrawnRows, models: list[Centered]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rows, n, count = drawn.rows, drawn.n, len(models)
    products = np.zeros((len(rows), count, count))
    sums, diagonal = np.zeros((count, len(rows))), np.zeros((count, len(rows)))
    squares = [model.squares.to(model.z.dtype) for model in models]
    shifts = [row_means(m.z, s.to(m.z.device)).cpu() for m, s in zip(models, squares, strict=True)]
    for part in cut(len(rows), HEIGHT):
        chosen = rows[part]
        for other in cut(n, CHUNK):

            def tile(m: int, chosen: NDArray[np.int64] = chosen, other: slice = other) -> Tensor:
                z = models[m].z
                product = (z[torch.from_numpy(chosen).to(z.device)] @ z[other].T).cpu()
                return _shifted_distances(product, squares[m], shifts[m], chosen, other)

            stack = torch.stack(threads.each(tile, range(count)), dim=1)  # (b, M, w)
            products[part] += torch.bmm(stack, stack.transpose(1, 2)).double().numpy()
            sums[:, part] += stack.sum(dim=2, dtype=torch.float64).numpy().T
            drawn.comparison.progress.advance(len(chosen) * (other.stop - other.start) * count)
    for m, shift in enumerate(shifts):
        diagonal[m] = -2 * shift.double().numpy()[rows]
    return products, sums, diagonal


def _shifted_distances(
    tile: Tensor, squares: Tensor, shift: Tensor, rows: NDArray[np.int64], other: slice
) -> Tensor:
    """Turn inner products into distances less shift_i + shift_j, in place."""
    table, square, move = tile.numpy(), squares.numpy(), shift.numpy()
    of_both = square[rows], square[other], move[rows], move[other]
    unused = np.zeros(len(rows)), np.zeros(tile.shape[1])
    kernels.distances(table, table, *of_both, FAR, *unused)
    here = np.flatnonzero((rows >= other.start) & (rows < other.stop))
    table[here, rows[here] - other.start] = -2 * move[rows[here]]
    return tile
