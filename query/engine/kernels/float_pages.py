"""Kernels over the pages of a Parquet column of lists of float32: levels, and streams of bytes."""

# mypy: allow-untyped-defs

import numpy as np

from query.engine.kernels.compiled import compiled


@compiled
def begins_rows(levels, start, count, width):
    """Return whether levels of one bit are 0 where a row of `width` elements begins, and else 1.

    They are encoded as Parquet does it, in runs that begin with a number: of an even one half is
    how often the next byte repeats, of an odd one half is the number of bytes with 8 levels each.

    Args:
        levels: The encoded levels, uint8.
        start: The number of the first element; element 0 begins a row.
        count: How many levels there are.
        width: The elements of a row; more than there are elements if all levels are to be 1.
    """
    at, i, stop = 0, start, start + count
    begin = -(-start // width) * width  # where the next row begins
    while i < stop:
        run, at = _read_varint(levels, at)
        packed, length = run & 1, run >> 1
        if length < 1 or at + (length if packed else 1) > len(levels):
            return False
        end = min(i + (8 * length if packed else length), stop)
        if packed:
            begin = _follow_bits(levels, at, i, end, begin, width)
        elif levels[at] == 0 and begin == i and (end == i + 1 or width == 1):
            begin = end + width - 1
        elif levels[at] != 1 or begin < end:
            begin = -1
        if begin < 0:
            return False
        i, at = end, at + (length if packed else 1)
    return True


@compiled
def _read_varint(levels, at):
    """Return the number before a run, 0 if there is none, and where it ends."""
    number, shift = np.int64(0), np.int64(0)
    while at < len(levels) and shift < 42:
        byte = np.int64(levels[at])
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    return np.int64(0), at


@compiled
def _follow_bits(levels, at, i, end, begin, width):
    """Return where the next row begins after elements i … end − 1, −1 if levels are not so."""
    for j in range(end - i):
        level = (levels[at + j // 8] >> (j % 8)) & 1
        if level == (i + j == begin):
            return -1
        if not level:
            begin += width
    return begin


@compiled
def join_bytes(streams, out):
    """Put numbers together whose first bytes come first, then all second bytes, and so on.

    Args:
        streams: The bytes, (4 n,) uint8.
        out: Receives the numbers, (n,) uint32.
    """
    n = len(out)
    for i in range(n):
        out[i] = (
            np.uint32(streams[i])
            | np.uint32(streams[n + i]) << np.uint32(8)
            | np.uint32(streams[2 * n + i]) << np.uint32(16)
            | np.uint32(streams[3 * n + i]) << np.uint32(24)
        )
