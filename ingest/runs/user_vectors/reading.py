"""Read a user's file of system ids and vectors into DuckDB, or refuse it with the reason.

No content of a file leads to a traceback: `read_vectors` is the one place where a file is read,
and an exception there becomes a VectorsError that names the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.text import printable
from ingest.runs.errors import VectorsError
from ingest.runs.user_vectors.arrays import Batch, read_npy, read_npz
from ingest.runs.user_vectors.columns import (
    Columns,
    describe,
    find_columns,
    refuse_columns,
    refuse_counter,
)
from ingest.runs.user_vectors.tables import read_csv, read_header
from schemas.message import one_line
from schemas.paths import escape_glob

FORMATS = (".parquet", ".npz", ".npy", ".csv", ".tsv")
Log = Callable[[str], None]


def read_vectors(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    systems: int,
    *,
    needs_ids: bool = True,
    log: Log = print,
) -> None:
    """Make the table `imported` (row, system_id, vector) from a file.

    Vectors are DOUBLE[] there, so that what float32 cannot hold is found and named.

    Args:
        connection: Where the table is made, as a temporary one.
        file: A file of one of `FORMATS`.
        systems: How many systems the dataset has; a file that claims far more rows is not read.
        needs_ids: Whether a file without ids is refused; else its ids are NULL.
        log: Gets which columns are taken, if they have not our own names.

    Raises:
        VectorsError: The file cannot be read.
    """
    suffix = file.suffix.lower()
    if suffix == ".gz" and plain_name(file).suffix.lower() in (".csv", ".tsv"):
        suffix = ".csv"
    if suffix not in FORMATS:
        raise VectorsError(f"{file} is of no format known here; expected {', '.join(FORMATS)}")
    connection.execute(
        "CREATE TEMP TABLE imported (row BIGINT, system_id VARCHAR, vector DOUBLE[])"
    )
    try:
        match suffix:
            case ".parquet":
                _read_parquet(connection, file, needs_ids, log)
            case ".npz":
                _insert(connection, read_npz(file, systems, needs_ids, log))
            case ".npy":
                _insert(connection, read_npy(file, systems, needs_ids))
            case _:
                _read_csv(connection, file, needs_ids, log)
    except (VectorsError, duckdb.InterruptException):
        raise
    except MemoryError as error:
        raise VectorsError(f"{file} does not fit in this machine's memory") from error
    except Exception as error:  # a parser's faults have no common type
        raise VectorsError(f"{file} cannot be read: {printable(one_line(error))}") from error


def _read_parquet(
    connection: duckdb.DuckDBPyConnection, file: Path, needs_ids: bool, log: Log
) -> None:
    schema = pq.read_schema(file)
    columns = find_columns(schema.names)
    if columns.ids is None and needs_ids:
        raise refuse_columns(file, schema.names, "ids")
    _refuse_types(file, schema, columns)
    if said := describe(schema.names, columns):
        log(said)
    ids = None if columns.ids is None else _quoted(schema.names[columns.ids])
    is_bytes = ids is not None and pa.types.is_binary(schema.field(columns.ids).type)
    system_id = "NULL" if ids is None else f"decode({ids})" if is_bytes else f"{ids}::VARCHAR"
    names = [_quoted(schema.names[place]) for place in columns.vectors]
    vector = names[0] if columns.whole else f"[{', '.join(f'{name}::DOUBLE' for name in names)}]"
    connection.execute(
        f"INSERT INTO imported SELECT row_number() OVER (), {system_id}, {vector}::DOUBLE[] "
        "FROM read_parquet(?, hive_partitioning = false)",
        [escape_glob(file)],
    )
    if columns.unnamed and columns.ids is not None:
        _drop_counter(connection, file, schema.names[columns.ids], needs_ids, log)


def _read_csv(connection: duckdb.DuckDBPyConnection, file: Path, needs_ids: bool, log: Log) -> None:
    names, columns = read_header(file, needs_ids)
    if said := describe(names, columns):
        log(said)
    _insert(connection, read_csv(file, names, columns))
    if columns.unnamed and columns.ids is not None:
        _drop_counter(connection, file, names[columns.ids], needs_ids, log)


def _drop_counter(
    connection: duckdb.DuckDBPyConnection, file: Path, name: str, needs_ids: bool, log: Log
) -> None:
    """Take no ids from an index that only counts the rows: it says nothing of systems."""
    query = "SELECT count(*) FROM imported WHERE system_id IS DISTINCT FROM (row - 1)::VARCHAR"
    ((others,),) = connection.execute(query).fetchall()
    if others:
        return
    if needs_ids:
        raise refuse_counter(file, name)
    connection.execute("UPDATE imported SET system_id = NULL")
    log(f"  column {printable(name)!r} only counts the rows, and is not taken for ids")


def _refuse_types(file: Path, schema: pa.Schema, columns: Columns) -> None:
    """Refuse columns of vectors that hold no numbers."""
    if not columns.vectors:
        raise refuse_columns(file, schema.names, "vectors")
    for place in columns.vectors:
        name, kind = schema.names[place], schema.field(place).type
        if columns.whole and not (_is_text(kind) or _is_list_of_numbers(kind)):
            raise VectorsError(
                f"{file}: the column {printable(name)} is {kind}, expected a list of numbers per "
                "system"
            )
        if not columns.whole and not _is_number(kind):
            raise VectorsError(
                f"{file} has no column such as vector or embedding, and its column "
                f"{printable(name)!r} is {kind}, which is no component"
            )


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    types = pa.types
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    return _is_number(kind.value_type) or _is_text(kind.value_type)


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _insert(connection: duckdb.DuckDBPyConnection, batches: Iterator[Batch]) -> None:
    row = 1
    for ids, vectors in batches:
        with np.errstate(all="ignore"):  # too large becomes infinite, and is refused by its id
            flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float64).ravel())
        lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        count = len(vectors)
        texts = pa.nulls(count, pa.string()) if ids is None else pa.array(ids, pa.string())
        rows = pa.table([pa.array(range(row, row + count)), texts, lists], ["row", "id", "v"])
        connection.register("rows", rows)
        connection.execute("INSERT INTO imported SELECT row, id, v::DOUBLE[] FROM rows")
        connection.unregister("rows")
        row += count
