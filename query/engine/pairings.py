"""What two models' neighbor lists share, for any number of pairings of their systems.

A pairing costs O(n · k).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine import threads

Orders = NDArray[np.int64]
AnyOrders = NDArray[np.int32] | NDArray[np.int64]


def over_pairings(
    orders: Tensor | AnyOrders, width: int, compute: Callable[..., Any]
) -> NDArray[np.float64]:
    """Compute some numbers for every pairing.

    Args:
        orders: The pairings, (B, n): in the p-th, row i of the first model is paired with row
            orders[p, i] of the second.
        width: How many numbers there are for each pairing.
        compute: Called as compute(order, scratch, out), with order (n,), scratch (n,) int64 that is
            −1 everywhere at first, and out (width,), which it fills.

    Returns:
        The numbers, (B, width).
    """
    table: NDArray[Any] = orders.numpy() if isinstance(orders, Tensor) else orders
    out = np.zeros((len(table), width))

    def work(part: slice) -> None:
        scratch = np.empty(table.shape[1], np.int64)
        for p in range(part.start, part.stop):
            scratch.fill(-1)
            compute(table[p], scratch, out[p])

    threads.each(work, threads.parts(len(table), 1))
    return out


def identity_pairing(n: int) -> Orders:
    """Return the pairing of every row with itself, (1, n).

    Args:
        n: The number of systems.
    """
    return np.arange(n, dtype=np.int64)[None]
