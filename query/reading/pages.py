"""The vectors of a vector file, decoded page by page.

pyarrow reads lists of any shape: two levels per element first, then where each row ends, then all
is copied into one table. The files that `zoo.worker.vector_files` writes hold rows of one length
and no nulls, so that their floats need no more than a look at the levels, which takes a third of
the time. Files that are written in any other way are left to pyarrow.

The format is that of parquet.thrift: before each page stands a header, a struct of Thrift's compact
protocol.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from query.engine import kernels, threads

COLUMN = "vector.list.element"
ENCODINGS = {"RLE", "BYTE_STREAM_SPLIT"}
# Numbers of the fields of a page's header, and of those of a data page in it.
KIND, SIZE, SIZE_PACKED, CHECKSUM, OF_DATA = 1, 2, 3, 4, 5
COUNT, ENCODING, ROWS_ENCODED, LISTS_ENCODED = 1, 2, 3, 4
DATA_PAGE, RLE, BYTE_STREAM_SPLIT = 0, 3, 9
# Numbers of the types of fields in a struct of Thrift.
_BOOLS, _NUMBERS, _BYTES, _STRUCT = (1, 2), (4, 5, 6), 8, 12
_ENDLESS = 2**62  # elements, more than any page has


class _Chunk(NamedTuple):
    """The floats of one row group.

    Attributes:
        start: Where they begin in the file.
        size: Their bytes in the file.
        rows: Which rows of the file they are.
    """

    start: int
    size: int
    rows: slice


class _Page(NamedTuple):
    """One page.

    Attributes:
        elements: How many there are.
        size: Its bytes once they are unpacked.
        packed: Its bytes in the file.
        checksum: Their CRC-32.
    """

    elements: int
    size: int
    packed: memoryview
    checksum: int


@dataclass(frozen=True)
class VectorPages:
    """The vectors of one file, still encoded.

    Attributes:
        path: The file.
        shape: (n, d).
    """

    path: str
    shape: tuple[int, int]
    _chunks: tuple[_Chunk, ...]

    @classmethod
    def of(cls, path: str, file: pq.ParquetFile) -> VectorPages | None:
        """Return the vectors of a file, or None if they are for pyarrow to read.

        Args:
            path: The file.
            file: The same, open.
        """
        place = _place_of_floats(file.schema)
        if place is None:
            return None
        chunks: list[_Chunk] = []
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        groups = [group for group in groups if group.num_rows]
        width = groups[0].column(place).num_values // groups[0].num_rows if groups else 0
        for group in groups:
            column = group.column(place)
            done = chunks[-1].rows.stop if chunks else 0
            rows = slice(done, done + group.num_rows)
            if not _is_ours(column) or column.num_values != width * group.num_rows:
                return None
            chunks.append(_Chunk(column.data_page_offset, column.total_compressed_size, rows))
        return cls(path, (chunks[-1].rows.stop, width), tuple(chunks)) if width else None

    def read(self, out: NDArray[np.float32]) -> bool:
        """Decode the vectors. The checksums of all pages are verified on the way.

        Args:
            out: Receives the vectors, of `shape` and contiguous.

        Returns:
            Whether all vectors have one length and all pages are as ours are; else the vectors are
            for pyarrow to read.

        Raises:
            ValueError: The file is damaged.
            OSError: The file cannot be read.
        """
        with Path(self.path).open("rb", buffering=0) as file:
            descriptor = file.fileno()

            def read_chunk(chunk: _Chunk) -> bool:
                packed = os.pread(descriptor, chunk.size, chunk.start)
                if len(packed) != chunk.size:
                    raise ValueError(f"it ends within the {chunk.size} bytes at {chunk.start}")
                return _decode(packed, out[chunk.rows])

            return all(threads.each(read_chunk, self._chunks))


def _place_of_floats(schema: pq.ParquetSchema) -> int | None:
    """Return the number of the column of a list's floats of which none can be NULL, or None."""
    for place in range(len(schema)):
        column = schema.column(place)
        if column.path == COLUMN and column.physical_type == "FLOAT":
            levels = column.max_definition_level, column.max_repetition_level
            return place if levels == (1, 1) else None
    return None


def _is_ours(column: pq.ColumnChunkMetaData) -> bool:
    return (
        column.compression == "ZSTD"
        and set(column.encodings) == ENCODINGS
        and not column.has_dictionary_page
    )


def _decode(packed: bytes, out: NDArray[np.float32]) -> bool:
    """Decode the pages of a row group, and return whether its rows are all as long as those of out.

    Raises ValueError if they are damaged.
    """
    numbers = out.reshape(-1).view(np.uint32)
    codec, done = pa.Codec("zstd"), 0
    for page in _pages(packed):
        if page is None:
            return False
        if done + page.elements > len(numbers):
            raise ValueError("its pages hold more floats than its footer says")
        if not 0 < page.size <= 5 * page.elements + 64:  # levels take a bit each
            return False
        if zlib.crc32(page.packed) != page.checksum:
            raise ValueError("the checksum of a page does not match")
        content = np.frombuffer(codec.decompress(page.packed, page.size), np.uint8)
        lists, rows, streams = _split(content)
        like_out = kernels.begins_rows(lists, done, page.elements, out.shape[1])
        if not like_out or not kernels.begins_rows(rows, 1, page.elements, _ENDLESS):
            return False
        if len(streams) != 4 * page.elements:
            raise ValueError("a page does not hold the floats that its header says")
        kernels.join_bytes(streams, numbers[done : done + page.elements])
        done += page.elements
    if done < len(numbers):
        raise ValueError("its pages hold fewer floats than its footer says")
    return True


def _split(content: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the levels of lists and of rows, and the bytes of the floats of a page."""
    parts, at = [], 0
    for _ in range(2):
        size = int.from_bytes(content[at : at + 4].tobytes(), "little")
        parts.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return [*parts, content[at:]]


def _pages(packed: bytes) -> Iterator[_Page | None]:
    """Yield the pages of a row group, None for the first that is not written as ours are.

    Raises ValueError if there is no page.
    """
    at, whole = 0, memoryview(packed)
    while at < len(packed):
        try:
            header, at = _read_struct(packed, at)
            data = header.get(OF_DATA, {})
            stop = at + header[SIZE_PACKED]
            encoded = data.get(ENCODING), data.get(LISTS_ENCODED), data.get(ROWS_ENCODED)
            is_ours = header[KIND] == DATA_PAGE and encoded == (BYTE_STREAM_SPLIT, RLE, RLE)
            if not is_ours or CHECKSUM not in header:
                yield None
                return
            if not at < stop <= len(packed) or data[COUNT] < 1 or header[SIZE] < 1:
                raise ValueError("a page is longer than all pages")
            checksum = header[CHECKSUM] & 0xFFFFFFFF
            page = _Page(data[COUNT], header[SIZE], whole[at:stop], checksum)
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("the header of a page cannot be read") from error
        yield page
        at = stop


def _read_struct(packed: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while (head := packed[at]) != 0:
        kind, at = head & 15, at + 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_signed(packed, at)
        if kind in _BOOLS:
            fields[number] = kind == _BOOLS[0]
        elif kind in _NUMBERS:
            fields[number], at = _read_signed(packed, at)
        elif kind == _BYTES:
            length, at = _read_varint(packed, at)
            fields[number], at = packed[at : at + length], at + length
        elif kind == _STRUCT:
            fields[number], at = _read_struct(packed, at)
        else:
            raise ValueError("the header of a page cannot be read")
    return fields, at + 1


def _read_signed(packed: bytes, at: int) -> tuple[int, int]:
    """Return a whole number with a sign, and where it ends."""
    found, at = _read_varint(packed, at)
    return (found >> 1) ^ -(found & 1), at


def _read_varint(packed: bytes, at: int) -> tuple[int, int]:
    found, shift = 0, 0
    while True:
        byte = packed[at]
        found |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return found, at
