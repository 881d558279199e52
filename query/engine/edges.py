"""What two models' neighbor lists share, for any number of pairings of their systems: O(n · k) each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine import threads

Orders = NDArray[np.int64]


def over_pairings(
    orders: Tensor | Orders, width: int, compute: Callable[..., Any]
) -> NDArray[np.float64]:
    """compute(order, scratch, out) for every pairing; `width` numbers each.

    orders: (B, n); in the p-th, row i of a is paired with row orders[p, i] of b. scratch: (n,) int64, −1 wherever
    it matters. Returns (B, width).
    """
    table = orders.numpy() if isinstance(orders, Tensor) else orders
    out = np.zeros((len(table), width))

    def work(part: slice) -> None:
        scratch = np.empty(table.shape[1], np.int64)
        for p in range(part.start, part.stop):
            scratch.fill(-1)
            compute(table[p], scratch, out[p])

    threads.each(work, threads.parts(len(table), 1))
    return out


def as_they_are(n: int) -> Orders:
    """The pairing of every row with itself, (1, n)."""
    return np.arange(n, dtype=np.int64)[None]
