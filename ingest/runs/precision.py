"""What float32, in which vectors are stored, leaves of vectors that were given in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
SAMPLE = 256  # vectors that are looked at
TOO_MUCH = 1e-3  # of the spread: from here on a metric changes by as much; see tests/ingest/runs/test_precision.py
WORTH_SAYING = 1e-5  # of the spread; vectors about zero lose 3e-8
CONSTANT = 1e-12  # relative spread below which vectors are the same but for rounding in float64


def rounding(x: Table) -> float:
    """Return how far float32 moves vectors, over how far these lie apart, both as root mean squares.

    The larger of two is returned: of the vectors as they are, and scaled to length 1, as metrics take them. What moves
    all alike moves none, and where all are the same there is nothing to lose: 0.

    Args:
        x: (n, d) of numbers that float32 can hold; no vector is zero, also not in float32.
    """
    y = x.astype(np.float32).astype(np.float64)
    largest = np.abs(x).max()
    return max(_part(x / largest, y / largest), _part(_unit(x), _unit(y)))


def lost_features(x: Table) -> int:
    """Return how many of the d columns float32 moves by more than TOO_MUCH of their spread."""
    y = x.astype(np.float32).astype(np.float64)
    return sum(
        _part(a[:, None], b[:, None]) > TOO_MUCH for a, b in zip(x.T, y.T, strict=True) if np.any(a)
    )


def digits(part: float) -> int:
    """Return to how many decimal digits differences are kept where rounding is this part of them."""
    return max(0, math.floor(-math.log10(part)))


def _unit(x: Table) -> Table:
    x = x / np.abs(x).max(
        axis=1, keepdims=True
    )  # squares of numbers near float32's limits stay in range
    unit: Table = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


def _part(x: Table, y: Table) -> float:
    spread = np.linalg.norm(x - x.mean(axis=0))
    if spread <= CONSTANT * np.linalg.norm(x):
        return 0.0
    moved = y - x
    return float(np.linalg.norm(moved - moved.mean(axis=0)) / spread)
