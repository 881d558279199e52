"""The bare matrix products that every metric over all pairs needs: the least time there is."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

TILE = 1024  # rows


def seconds(
    tables: Sequence[NDArray[np.float32]], device: str = "cpu", tiles: int | None = None
) -> float:
    """Return the seconds for X Xᵀ of every table, by tiles of (1024, n) that are thrown away.

    All n² products are made.

    Args:
        tables: The tables, (n, d) float32.
        device: Where the products are made.
        tiles: Time only so many tiles per table, spread over its rows, and scale up to all.
    """
    n = len(tables[0])
    starts = range(0, n, TILE)
    chosen = starts if tiles is None else starts[:: max(1, len(starts) // tiles)][:tiles]
    rows = sum(min(TILE, n - start) for start in chosen)
    out = torch.zeros(min(TILE, n), n, device=device)
    taken = 0.0
    for table in tables:
        x = torch.as_tensor(table, device=device)
        begin = now(device)
        for start in chosen:
            torch.mm(x[start : start + TILE], x.T, out=out[: min(TILE, n - start)])
        taken += now(device) - begin
    return taken * n / rows


def now(device: str) -> float:
    """Return the time in seconds once all that was asked of the device is done."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()
