"""How a table of all pairs of systems is cut: no N × N matrix is ever held."""

from __future__ import annotations

from collections.abc import Iterator

import torch

FLOAT64_BYTES = 8
TILE_BYTES = 64 * 2**20  # of a tile in float64, where few are made
# Rows and columns of a product tile: large enough for the product, small enough for the cache.
CPU_TILE = (1024, 2048)
CUDA_TILE = (4096, 16384)
# The largest side of the square tiles that all models have at the same time.
CPU_STACK, CUDA_STACK = 512, 8192
SMALL = 2048  # systems, up to which products in float64 take no time that anyone would notice


def blocks(n_rows: int, bytes_per_row: int) -> Iterator[slice]:
    """Yield slices that cover all rows, each of at most TILE_BYTES and at least one row.

    Args:
        n_rows: The number of rows.
        bytes_per_row: The size of one row.
    """
    return cut(n_rows, max(1, TILE_BYTES // max(1, bytes_per_row)))


def tile_dtype(n: int) -> torch.dtype:
    """Return the precision of products over n systems: float32 if float64 would cost time.

    Args:
        n: The number of systems.
    """
    return torch.float64 if n <= SMALL else torch.float32


def cut(n: int, step: int, start: int = 0) -> Iterator[slice]:
    """Yield slices of at most `step` that cover start … n.

    Args:
        n: Where the last slice ends.
        step: The length of a slice.
        start: Where the first slice begins.
    """
    return (slice(i, min(i + step, n)) for i in range(start, n, step))


def upper(n: int, rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    """Yield tiles that cover every pair i ≤ j once, as rows and columns.

    Tiles on the diagonal are square and hold their pairs both ways.

    Args:
        n: The number of systems.
        rows: The most rows of a tile.
        columns: The most columns of a tile.
    """
    for part in cut(n, rows):
        yield part, part
        yield from ((part, other) for other in cut(n, columns, part.stop))


def product_tile(device: torch.device) -> tuple[int, int]:
    """Return the rows and columns of one model's product tile.

    Args:
        device: Where the products are computed.
    """
    return CUDA_TILE if device.type == "cuda" else CPU_TILE


def stacked_tile(device: torch.device, models: int, itemsize: int) -> int:
    """Return the side of the square tiles of which every model has one at the same time.

    Args:
        device: Where the products are computed; on a GPU its free memory decides.
        models: The number of models.
        itemsize: The bytes of one number.
    """
    if device.type == "cpu":
        return CPU_STACK
    side = int((torch.cuda.mem_get_info(device)[0] / 4 / (models * itemsize)) ** 0.5)
    return min(CUDA_STACK, max(64, side // 64 * 64))
