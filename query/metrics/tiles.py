"""Products of all pairs of rows, a few rows at a time: no N × N matrix is ever held."""

from __future__ import annotations

from collections.abc import Iterator

TILE_BYTES = 64 * 2**20
FLOAT64_BYTES = 8


def blocks(n_rows: int, bytes_per_row: int, limit: int | None = None) -> Iterator[slice]:
    """Slices that cover `n_rows`, each of at most `limit` bytes (TILE_BYTES where None) and at least one row."""
    step = max(1, (TILE_BYTES if limit is None else limit) // max(1, bytes_per_row))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def tile_rows(n: int) -> Iterator[slice]:
    """Row blocks whose (rows, n) float64 tile fits in TILE_BYTES."""
    return blocks(n, n * FLOAT64_BYTES)
