"""Measure what float32, in which vectors are stored, leaves of vectors that are float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from ingest.runs.errors import VectorsError

Table = NDArray[np.float64]
SAMPLE = 256  # vectors that are measured; more tell no more about a spread
# Of the vectors' spread. From here on a metric changes by as much: tests/ingest/runs/
# user_vectors/test_precision.py measures that.
TOO_MUCH = 1e-3
WORTH_A_WARNING = 1e-5  # of the spread; vectors about zero lose 3e-8
CONSTANT = 1e-12  # relative spread below which vectors are the same but for rounding in float64
SAMPLED = f"""
SELECT vector FROM imported
WHERE row % greatest(1, (SELECT count(*) FROM imported) // {SAMPLE}) = 0
ORDER BY row LIMIT {SAMPLE}
"""


def check_precision(
    connection: duckdb.DuckDBPyConnection, file: Path, log: Callable[[str], None]
) -> float:
    """Refuse vectors that lose too much as float32, and log what others lose.

    Args:
        connection: Has the table `imported` (row, system_id, vector), checked.
        file: The file that the vectors are from.
        log: Gets one line per warning.

    Returns:
        See `relative_rounding`.

    Raises:
        VectorsError: Metrics would change.
    """
    lists = connection.execute(SAMPLED).to_arrow_table().column("vector")
    vectors = lists.combine_chunks().values.to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    lost = relative_rounding(vectors)
    if lost > TOO_MUCH:
        raise VectorsError(
            f"{file}: float32, in which vectors are stored, would move these by {100 * lost:.3g} % "
            f"of how far they lie apart (at most {100 * TOO_MUCH:g} % is taken), which changes "
            "metrics. Subtract one vector, such as the mean, from all: that changes nothing under "
            "normalize := 'none', but cosines ('l2') become those about that vector. "
            "Nothing was stored"
        )
    if lost > WORTH_A_WARNING:
        kept = digits_kept(lost)
        log(f"  warning: of how these vectors differ, float32 keeps about {kept} digits")
    if gone := count_lost_features(vectors):
        log(
            f"  warning: float32 does not keep how {gone} of {vectors.shape[1]} components differ; "
            "normalize := 'zscore' would make that rounding as large as the others: "
            "subtract a component's mean first"
        )
    return lost


def relative_rounding(x: Table) -> float:
    """Return how far float32 moves vectors over how far they lie apart, as root mean squares.

    It is the larger of two: of the vectors as they are, and scaled to length 1, as metrics take
    them. What moves all alike moves none. If all vectors are the same, there is nothing to lose,
    and the result is 0.

    Args:
        x: Vectors (n, d) of numbers that float32 can hold; none is zero, also not in float32.
    """
    y = x.astype(np.float32).astype(np.float64)
    largest = np.abs(x).max()
    return max(_relative_shift(x / largest, y / largest), _relative_shift(_unit(x), _unit(y)))


def count_lost_features(x: Table) -> int:
    """Return how many of the d columns float32 moves by more than TOO_MUCH of their spread.

    Args:
        x: Vectors (n, d), as for `relative_rounding`.
    """
    y = x.astype(np.float32).astype(np.float64)
    return sum(
        _relative_shift(a[:, None], b[:, None]) > TOO_MUCH
        for a, b in zip(x.T, y.T, strict=True)
        if np.any(a)
    )


def digits_kept(part: float) -> int:
    """Return to how many decimal digits differences are kept, at least 0.

    Args:
        part: Rounding as a part of the differences, above 0.
    """
    return max(0, math.floor(-math.log10(part)))


def _unit(x: Table) -> Table:
    # The division first keeps squares of numbers near float32's limits in range.
    x = x / np.abs(x).max(axis=1, keepdims=True)
    unit: Table = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


def _relative_shift(x: Table, y: Table) -> float:
    spread = np.linalg.norm(x - x.mean(axis=0))
    if spread <= CONSTANT * np.linalg.norm(x):
        return 0.0
    moved = y - x
    return float(np.linalg.norm(moved - moved.mean(axis=0)) / spread)
