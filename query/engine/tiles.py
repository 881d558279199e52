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
MOST_STRIPS = 64  # of a pass over all pairs of systems: enough for as many processes to share
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


def upper(
    n: int, rows: int, columns: int, strip: slice | None = None
) -> Iterator[tuple[slice, slice]]:
    """Yield tiles that cover every pair i ≤ j once, as rows and columns.

    Tiles on the diagonal are square and hold their pairs both ways.

    Args:
        n: The number of systems.
        rows: The most rows of a tile.
        columns: The most columns of a tile.
        strip: The systems of the rows, of `triangle_strips`; None for all.
    """
    strip = slice(0, n) if strip is None else strip
    for part in cut(strip.stop, rows, strip.start):
        yield part, part
        yield from ((part, other) for other in cut(n, columns, part.stop))


def triangle_strips(n: int, side: int) -> list[slice]:
    """Return the systems whose tiles a strip has, so that all strips have about as many tiles.

    A strip has tiles of its systems with themselves and with those after them. The cut depends on
    nothing but the number of systems: sums are added within a strip and then over strips, and a
    float remembers in which order.

    Args:
        n: The number of systems.
        side: The side of a tile.
    """
    if n <= side:
        return [slice(0, n)]
    blocks_of_rows = -(-n // side)
    count = min(blocks_of_rows, MOST_STRIPS)
    ends = [round(blocks_of_rows * (1 - (1 - s / count) ** 0.5)) for s in range(count + 1)]
    starts = sorted({side * end for end in ends[:-1]})
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], n], strict=True)]


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
