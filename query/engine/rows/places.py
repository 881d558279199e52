"""Places of systems among all systems around the drawn ones.

A row of half squared distances to all n systems is sorted once; the place of any system, under any
pairing, is then found by bisection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from query.engine import kernels, threads
from query.engine.neighbors.candidates import center
from query.engine.neighbors.lists import Neighborhoods
from query.engine.rows.drawn import DrawnRows
from query.engine.tile_operations import rounding
from query.engine.tiles import cut

STRIP_BYTES = 2**27  # of rows that are sorted at a time


class Places(NamedTuple):
    """The places that other models' nearest systems have in one model.

    Attributes:
        mean: For each other model and drawn system, the mean place of its neighbors, (M, r).
        shuffled: For each other model and shuffled pairing, the mean over drawn systems, (M, B).
    """

    mean: NDArray[np.float64]
    shuffled: NDArray[np.float64]


class _Strip(NamedTuple):
    """Some of the rows.

    Attributes:
        where: Where their systems are among the drawn ones, (b,).
        values: Half the squared distances to all systems but for a constant of the row, (b, n).
        squares: The squared lengths of the rows' vectors, (b,).
        precision: The relative difference up to which two values tie.
    """

    where: NDArray[np.int64]
    values: NDArray[np.floating]
    squares: NDArray[np.floating]
    precision: np.floating


def find_places(drawn: DrawnRows, i: int, lists: Sequence[Neighborhoods]) -> Places:
    """Return the places of the neighbors that drawn systems have in other models.

    Args:
        drawn: The drawn systems.
        i: The number of the model in which places are counted.
        lists: The neighborhoods of the others, in which the drawn systems have lists.

    Raises:
        Undefined: The model has no values.
    """
    rows, orders = drawn.rows, drawn.orders
    owners = np.empty((len(orders), len(rows)), np.int64)
    for owner, order in zip(owners, orders, strict=True):
        owner[np.searchsorted(rows, order[rows])] = rows
    mean = np.empty((len(lists), len(rows)))
    shuffled = np.zeros((len(lists), len(orders), len(rows)))
    identity = np.arange(drawn.n, dtype=np.int32)
    for strip in _strips(drawn, i):

        def place(one: slice, strip: _Strip = strip) -> None:
            where = strip.where[one]
            here = strip.values[one], np.sort(strip.values[one], axis=1), where
            rest = strip.squares[one], strip.precision
            for a, near in enumerate(lists):
                kernels.place_sums(*here, rows[where], near, identity, *rest, mean[a])
                for p, order in enumerate(orders):
                    kernels.place_sums(*here, owners[p, where], near, order, *rest, shuffled[a, p])

        threads.each(place, threads.parts(len(strip.where), 1))
    return Places(mean, shuffled.mean(axis=2))


def _strips(drawn: DrawnRows, i: int) -> Iterator[_Strip]:
    comparison, rows = drawn.comparison, drawn.rows
    x = comparison.vectors(i)
    z, squares = center(x, x.mean(dim=0), comparison.dtype)
    z, lengths = z.to(comparison.device), squares.to(comparison.dtype)
    for part in cut(len(rows), max(1, STRIP_BYTES // (z.element_size() * drawn.n))):
        chosen = torch.from_numpy(rows[part])
        values = (lengths / 2 - (z[chosen.to(z.device)] @ z.T).cpu()).numpy()
        values[np.arange(len(chosen)), rows[part]] = np.inf
        precision = values.dtype.type(rounding(comparison.dtype, x.shape[1]))
        where = np.arange(part.start, part.stop)
        yield _Strip(where, values, lengths[chosen].numpy(), precision)
        comparison.progress.advance(len(where) * drawn.n)
