"""How much of a table of all pairs of systems is looked at in one go: no N × N matrix is ever held."""

from __future__ import annotations

from collections.abc import Iterator

import torch

FLOAT64_BYTES = 8
TILE_BYTES = 64 * 2**20  # of a tile in float64, where few are made
CPU_TILE = (
    1024,
    2048,
)  # rows and columns of a product tile: large enough for the product, small enough for the cache
CUDA_TILE = (4096, 16384)
CPU_STACK, CUDA_STACK = (
    512,
    8192,
)  # largest side of the square tiles of all models that lie side by side
SMALL = 2048  # systems up to which float64 products cost nothing that anyone would notice


def blocks(n_rows: int, bytes_per_row: int) -> Iterator[slice]:
    """Slices that cover `n_rows`, each of at most TILE_BYTES and at least one row."""
    return cut(n_rows, max(1, TILE_BYTES // max(1, bytes_per_row)))


def tile_dtype(n: int) -> torch.dtype:
    """The precision of products over n systems: float32 where float64 would cost time."""
    return torch.float64 if n <= SMALL else torch.float32


def cut(n: int, step: int, start: int = 0) -> Iterator[slice]:
    """start … n in pieces of `step`."""
    return (slice(i, min(i + step, n)) for i in range(start, n, step))


def upper(n: int, rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    """Tiles that cover every pair i ≤ j once; those on the diagonal are square and hold their pairs both ways."""
    for part in cut(n, rows):
        yield part, part
        yield from ((part, other) for other in cut(n, columns, part.stop))


def product_tile(device: torch.device) -> tuple[int, int]:
    """Rows and columns of one model's product tile."""
    return CUDA_TILE if device.type == "cuda" else CPU_TILE


def stacked_tile(device: torch.device, models: int, itemsize: int) -> int:
    """Side of the square tiles of which every model has one at a time; on a GPU from the memory at hand."""
    if device.type == "cpu":
        return CPU_STACK
    side = int((torch.cuda.mem_get_info(device)[0] / 4 / (models * itemsize)) ** 0.5)
    return min(CUDA_STACK, max(64, side // 64 * 64))
