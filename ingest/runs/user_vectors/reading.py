"""Read a user's file of system ids and vectors into DuckDB, or refuse it with the reason.

No content of a file leads to a traceback: `read_vectors` is the one place where a file is read,
and an exception there becomes a VectorsError that names the file.
"""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.readers.shared.text import describe_bad_byte, open_text, printable
from ingest.runs.errors import VectorsError
from schemas.message import one_line
from schemas.paths import escape_glob

Batch = tuple[list[str], NDArray[Any]]  # ids, and vectors (n, d) of any real type
BATCH_NUMBERS = 2**21  # numbers that are in memory at once, 16 MB
MOST_NUMBERS = 2**20  # in a vector: a file of a few kB can claim any number
SPARE_ROWS = 1000  # beyond twice the dataset's systems: what is wrong with them can then be named
NEEDED = ("system_id", "vector")
# What reads the header of an array, by the version of NumPy's format.
HEADERS: dict[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_vectors(connection: duckdb.DuckDBPyConnection, file: Path, systems: int) -> None:
    """Make the table `imported` (row, system_id, vector) from a file.

    Vectors are DOUBLE[] there, so that what float32 cannot hold is found and named.

    Args:
        connection: Where the table is made, as a temporary one.
        file: A file of one of `FORMATS`.
        systems: How many systems the dataset has; a file that claims far more rows is not read.

    Raises:
        VectorsError: The file cannot be read.
    """
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise VectorsError(f"{file} is of no format known here; expected {', '.join(FORMATS)}")
    connection.execute(
        "CREATE TEMP TABLE imported (row BIGINT, system_id VARCHAR, vector DOUBLE[])"
    )
    try:
        reader(connection, file, systems)
    except (VectorsError, duckdb.InterruptException):
        raise
    except MemoryError as error:
        raise VectorsError(f"{file} does not fit in this machine's memory") from error
    except Exception as error:  # a parser's faults have no common type
        raise VectorsError(f"{file} cannot be read: {printable(one_line(error))}") from error


def _read_parquet(connection: duckdb.DuckDBPyConnection, file: Path, systems: int) -> None:
    schema = pq.read_schema(file)
    _require(file, schema.names)
    kind = schema.field("vector").type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _holds_numbers(kind)):
        raise VectorsError(
            f"{file}: the column vector is {kind}, expected a list of numbers per system"
        )
    is_bytes = pa.types.is_binary(schema.field("system_id").type)
    system_id = "decode(system_id)" if is_bytes else "system_id::VARCHAR"
    connection.execute(
        f"INSERT INTO imported SELECT row_number() OVER (), {system_id}, vector::DOUBLE[] "
        "FROM read_parquet(?, hive_partitioning = false)",
        [escape_glob(file)],
    )


def _holds_numbers(kind: pa.DataType) -> bool:
    types = pa.types
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    inner = kind.value_type
    tests = (
        types.is_integer,
        types.is_floating,
        types.is_decimal,
        types.is_string,
        types.is_large_string,
    )
    return any(test(inner) for test in tests)


def _read_csv(connection: duckdb.DuckDBPyConnection, file: Path, systems: int) -> None:
    """Read a table with the column system_id first; every other one is a component."""
    with open_text(file, newline="") as text:
        lines = csv.reader(text, strict=True)
        try:
            _insert(connection, _csv_batches(file, lines))
        except csv.Error as error:
            raise VectorsError(f"{file}: line {lines.line_num} is no CSV: {error}") from error


def _csv_batches(file: Path, lines: Any) -> Iterator[Batch]:
    names = [name.strip() for name in next(lines, [])]
    if names[:1] != ["system_id"] or len(names) < 2:
        found = printable(", ".join(repr(name) for name in names[:4])) or "nothing"
        raise VectorsError(
            f"{file}: expected a header line system_id, then the vector's columns, separated by "
            f"commas; found {found}"
        )
    size = max(1, BATCH_NUMBERS // len(names))
    ids: list[str] = []
    vectors: list[NDArray[np.float64]] = []
    for row in lines:
        if not row:
            continue
        ids.append(row[0])
        vectors.append(np.array(_numbers(file, lines.line_num, names, row)))
        if len(ids) == size:
            yield ids, np.stack(vectors)
            ids, vectors = [], []
    if ids:
        yield ids, np.stack(vectors)


def _numbers(file: Path, line: int, names: list[str], row: list[str]) -> list[float]:
    """Return the vector of one line, with NaN for an empty field."""
    if bad := describe_bad_byte(",".join(row), line):
        raise VectorsError(f"{file}: {bad}")
    if len(row) != len(names):
        raise VectorsError(
            f"{file}: line {line} has {len(row)} fields, "
            f"expected {len(names)} as in the header line"
        )
    try:
        return list(map(float, row[1:]))
    except ValueError:
        return [_number(file, line, *field) for field in zip(names[1:], row[1:], strict=True)]


def _number(file: Path, line: int, name: str, text: str) -> float:
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        where = f"line {line}, column {printable(name)}"
        raise VectorsError(
            f"{file}: {where}: {printable(text)!r} is no number, such as 0.25 or 1e-3"
        ) from None


def _read_npz(connection: duckdb.DuckDBPyConnection, file: Path, systems: int) -> None:
    if not zipfile.is_zipfile(file):
        raise VectorsError(
            f"{file} is no .npz file, which numpy.savez makes of arrays; or it is cut off"
        )
    _check_arrays(file, systems)
    with np.load(file, allow_pickle=False) as arrays:
        ids, vectors = arrays["system_id"], arrays["vector"]
    texts = (
        [_decode(file, x) for x in ids.tolist()]
        if ids.dtype.kind == "S"
        else ids.astype(str).tolist()
    )
    size = max(1, BATCH_NUMBERS // vectors.shape[1])
    _insert(
        connection,
        ((texts[i : i + size], vectors[i : i + size]) for i in range(0, len(texts), size)),
    )


def _check_arrays(file: Path, systems: int) -> None:
    """Refuse arrays of other types or shapes by their headers, before memory is taken for them."""
    with zipfile.ZipFile(file) as archive:
        _require(file, [name.removesuffix(".npy") for name in archive.namelist()])
        (id_shape, ids), (shape, vectors) = (_header(file, archive, name) for name in NEEDED)
    if ids.kind not in "USiuf":
        raise VectorsError(
            f"{file}: system_id is an array of {_name_type(ids)}; save it as text, ids.astype(str)"
        )
    if vectors.kind not in "fiu":
        raise VectorsError(
            f"{file}: vector is an array of {_name_type(vectors)}, expected real numbers"
        )
    if len(shape) != 2 or id_shape != shape[:1]:
        raise VectorsError(
            f"{file}: expected system_id of shape (n,) and vector of shape (n, d), "
            f"found {id_shape} and {shape}"
        )
    if not 1 <= shape[1] <= MOST_NUMBERS:
        raise VectorsError(
            f"{file}: vectors are {shape[1]} numbers long, expected 1 to {MOST_NUMBERS}"
        )
    if shape[0] > SPARE_ROWS + 2 * systems:
        raise VectorsError(f"{file} has {shape[0]} rows, but the dataset has {systems} systems")


def _header(
    file: Path, archive: zipfile.ZipFile, name: str
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type that an array in the file claims, if it is as long as that."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as part:
        version = np.lib.format.read_magic(part)
        if version not in HEADERS:
            raise VectorsError(
                f"{file}: {name} is written in version {version} of NumPy's format, "
                "expected 1.0 or 2.0"
            )
        shape, _, dtype = HEADERS[version](part)
        length = info.file_size - part.tell()
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


def _insert(connection: duckdb.DuckDBPyConnection, batches: Iterator[Batch]) -> None:
    row = 1
    for ids, vectors in batches:
        with np.errstate(all="ignore"):  # too large becomes infinite, and is refused by its id
            flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float64).ravel())
        lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        rows = pa.table(
            [pa.array(range(row, row + len(ids))), pa.array(ids, pa.string()), lists],
            ["row", "id", "v"],
        )
        connection.register("rows", rows)
        connection.execute("INSERT INTO imported SELECT row, id, v::DOUBLE[] FROM rows")
        connection.unregister("rows")
        row += len(ids)


def _require(file: Path, names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    if missing:
        found = printable(", ".join(names[:8])) or "nothing"
        raise VectorsError(f"{file} has no {' and no '.join(missing)}; it has {found}")


READERS = {".parquet": _read_parquet, ".npz": _read_npz, ".csv": _read_csv}
FORMATS = tuple(READERS)
