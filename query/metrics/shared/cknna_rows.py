"""CKNNA from some rows: what is kept of a model, and the means of both formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from query.engine import kernels
from query.engine.neighbors.lists import Neighborhoods
from query.engine.pairings import AnyOrders, over_pairings
from query.engine.rows.drawn import DrawnRows
from query.metrics.shared.estimates import RowMean


@dataclass(frozen=True, slots=True)
class RowState:
    """What an estimate of CKNNA keeps of one model.

    Attributes:
        neighbors: The neighborhoods of the drawn systems; for 'unbiased', also of their neighbors.
        back: The weights with which neighbors count the drawn systems as theirs, (entries,).
        row_mean: The mean of each row of the kernel, (n,).
    """

    neighbors: Neighborhoods
    back: NDArray[np.float64]
    row_mean: NDArray[np.float64]


def centered_means(drawn: DrawnRows, a: RowState, b: RowState, orders: AnyOrders) -> list[RowMean]:
    """Return the mean over the drawn systems that 'centered' is, for every pairing.

    Args:
        drawn: The drawn systems.
        a: What is kept of the first model.
        b: What is kept of the second model.
        orders: The pairings, (B, n).
    """
    rows, count = drawn.rows, len(drawn.rows)
    found = over_pairings(
        orders,
        2 * count,
        lambda order, place, out: kernels.centered_by_row(
            a.neighbors,
            a.row_mean,
            b.neighbors,
            b.row_mean,
            rows,
            order,
            place,
            out.reshape(2, count),
        ),
    )
    return [RowMean.of(each[:count], each[count:].mean()) for each in found]


def unbiased_means(drawn: DrawnRows, a: RowState, b: RowState, orders: AnyOrders) -> list[RowMean]:
    """Return Song's equation 5 of every pairing, times n − 3, as means over the rows.

    Args:
        drawn: The drawn systems.
        a: What is kept of the first model.
        b: What is kept of the second model.
        orders: The pairings, (B, n).
    """
    rows, count, n = drawn.rows, len(drawn.rows), drawn.n
    found = over_pairings(
        orders,
        4 * count,
        lambda order, place, out: kernels.unbiased_by_row(
            a.neighbors, a.back, b.neighbors, b.back, rows, order, place, out.reshape(4, count)
        ),
    )
    means = []
    for each in found:
        trace, left, right, crossed = each.reshape(4, count)
        terms = trace - crossed / (n - 2)
        size = np.abs(trace).mean() + np.abs(crossed).mean() / (n - 2)
        mean = RowMean.of(terms, size)
        means.append(mean.plus_product(left, right, n / ((n - 1) * (n - 2)), n))
    return means
