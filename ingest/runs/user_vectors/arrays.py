"""Read NumPy's files: .npz of ids and vectors, and .npy of vectors alone."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ingest.readers.shared.fields import find_column
from ingest.runs.errors import VectorsError
from ingest.runs.user_vectors.columns import ARRAYS, IDS, Columns, describe, refuse_columns

Batch = tuple[list[str] | None, NDArray[Any]]  # ids if known, and vectors (n, d) of any real type
BATCH_NUMBERS = 2**21  # numbers that are in memory at once, 16 MB
MOST_NUMBERS = 2**20  # in a vector: a file of a few kB can claim any number
SPARE_ROWS = 1000  # beyond twice the dataset's systems: what is wrong with them can then be named
# What reads the header of an array, by the version of NumPy's format.
HEADERS: dict[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(
    file: Path, systems: int, needs_ids: bool, log: Callable[[str], None]
) -> Iterator[Batch]:
    """Read the arrays of ids and of vectors, some rows at a time.

    Args:
        file: What numpy.savez wrote.
        systems: How many systems the dataset has.
        needs_ids: Whether a file without ids is refused.
        log: Gets which arrays are taken.

    Yields:
        Ids, None if there are none, and vectors.

    Raises:
        VectorsError: The file holds something else.
    """
    if not zipfile.is_zipfile(file):
        raise VectorsError(
            f"{file} is no .npz file, which numpy.savez makes of arrays; or it is cut off"
        )
    with zipfile.ZipFile(file) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        ids, vectors = find_column(names, IDS), find_column(names, ARRAYS)
        if vectors is None:
            raise refuse_columns(file, names, "vectors")
        if ids is None and needs_ids:
            raise refuse_columns(file, names, "ids")
        if said := describe(names, Columns(ids, (vectors,), whole=True)):
            log(said)
        shape = _check_vectors(file, names[vectors], _header_of(file, archive, names[vectors]))
        if ids is not None:
            _check_ids(file, names[ids], _header_of(file, archive, names[ids]), shape)
    _refuse_rows(file, shape, systems)
    with np.load(file, allow_pickle=False) as arrays:
        texts = None if ids is None else as_texts(file, arrays[names[ids]])
        yield from _batches(texts, arrays[names[vectors]])


def read_npy(file: Path, systems: int, needs_ids: bool) -> Iterator[Batch]:
    """Read an array of vectors, some rows at a time.

    Args:
        file: What numpy.save wrote.
        systems: How many systems the dataset has.
        needs_ids: Whether it is refused, as it has no ids.

    Yields:
        None for ids, and vectors.

    Raises:
        VectorsError: The file holds something else.
    """
    if needs_ids:
        raise refuse_columns(file, ["one array"], "ids")
    with file.open("rb") as raw:
        header = _header(file, "the array", raw, file.stat().st_size)
    _refuse_rows(file, _check_vectors(file, "the array", header), systems)
    yield from _batches(None, np.load(file, mmap_mode="r", allow_pickle=False))


def read_npy_ids(file: Path) -> list[str]:
    """Read an array of ids.

    Args:
        file: What numpy.save wrote.

    Raises:
        VectorsError: The file holds something else.
    """
    with file.open("rb") as raw:
        shape, dtype = _header(file, "the array", raw, file.stat().st_size)
    if len(shape) != 1:
        raise VectorsError(f"{file}: expected ids of shape (n,), found {shape}")
    _check_ids(file, "the array", (shape, dtype), shape)
    return as_texts(file, np.load(file, allow_pickle=False))


def as_texts(file: Path, ids: NDArray[Any]) -> list[str]:
    """Return ids as text.

    Args:
        file: The file that they are from.
        ids: Ids of shape (n,), of text, bytes or numbers.

    Raises:
        VectorsError: Bytes are not UTF-8.
    """
    if ids.dtype.kind == "S":
        return [_decode(file, raw) for raw in ids.tolist()]
    texts: list[str] = ids.astype(str).tolist()
    return texts


def _batches(texts: list[str] | None, vectors: NDArray[Any]) -> Iterator[Batch]:
    size = max(1, BATCH_NUMBERS // vectors.shape[1])
    for start in range(0, len(vectors), size):
        rows = slice(start, start + size)
        yield None if texts is None else texts[rows], vectors[rows]


Header = tuple[tuple[int, ...], np.dtype[Any]]


def _check_vectors(file: Path, name: str, header: Header) -> tuple[int, ...]:
    """Refuse another type or shape by its header, before memory is taken; return the shape."""
    shape, dtype = header
    if dtype.kind not in "fiu":
        raise VectorsError(
            f"{file}: {name} is an array of {_name_type(dtype)}, expected real numbers"
        )
    if len(shape) != 2:
        raise VectorsError(
            f"{file}: expected ids of shape (n,) and vectors of shape (n, d), found {name} of "
            f"shape {shape}"
        )
    if not 1 <= shape[1] <= MOST_NUMBERS:
        raise VectorsError(
            f"{file}: vectors are {shape[1]} numbers long, expected 1 to {MOST_NUMBERS}"
        )
    return shape


def _check_ids(file: Path, name: str, header: Header, vectors: tuple[int, ...]) -> None:
    shape, dtype = header
    if dtype.kind not in "USiuf":
        raise VectorsError(
            f"{file}: {name} is an array of {_name_type(dtype)}; save it as text, ids.astype(str)"
        )
    if shape != vectors[:1]:
        raise VectorsError(
            f"{file}: expected ids of shape (n,) and vectors of shape (n, d), "
            f"found {shape} and {vectors}"
        )


def _refuse_rows(file: Path, shape: tuple[int, ...], systems: int) -> None:
    if shape[0] > SPARE_ROWS + 2 * systems:
        raise VectorsError(f"{file} has {shape[0]} rows, but the dataset has {systems} systems")


def _header_of(file: Path, archive: zipfile.ZipFile, name: str) -> Header:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as part:
        return _header(file, name, part, info.file_size)  # type: ignore[arg-type]


def _header(file: Path, name: str, raw: BinaryIO, size: int) -> Header:
    """Return shape and type that an array claims, if it is as long as that."""
    version = np.lib.format.read_magic(raw)
    if version not in HEADERS:
        raise VectorsError(
            f"{file}: {name} is written in version {version} of NumPy's format, expected 1.0 or 2.0"
        )
    shape, _, dtype = HEADERS[version](raw)
    length = size - raw.tell()
    if dtype.kind != "O" and math.prod(shape) * dtype.itemsize != length:
        raise VectorsError(
            f"{file} is damaged: {name} has {length} bytes, which is no array {shape} of {dtype}"
        )
    return shape, dtype


def _name_type(dtype: np.dtype[Any]) -> str:
    return "Python objects" if dtype.kind == "O" else str(dtype)


def _decode(file: Path, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise VectorsError(
            f"{file}: the id {raw!r} is not UTF-8; save ids as text, not bytes"
        ) from error
