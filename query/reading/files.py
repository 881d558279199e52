"""The Parquet files in which a store's vectors lie, read without a detour through SQL."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from query.engine.undefined import Undefined
from schemas.message import one_line
from schemas.paths import MEMORY, escape_glob
from schemas.vectors import VectorFile, is_view_of_files, list_vector_files

COLUMNS = ["system_id", "vector"]
# Of a file in an object store, which DuckDB reads with the credentials that it finds.
OBJECT = f"SELECT {', '.join(COLUMNS)} FROM read_parquet(?, hive_partitioning = false)"
SUPERSEDED = """
SELECT run_id, system_id FROM superseded
WHERE representation = ? AND run_id IN (SELECT unnest(?::VARCHAR[]))
"""
_RELATIONS = """
SELECT database_name, schema_name, sql FROM duckdb_views() WHERE view_name = 'embeddings'
UNION ALL
SELECT database_name, schema_name, NULL FROM duckdb_tables() WHERE table_name = 'embeddings'
"""
_PATH = "SELECT current_setting('search_path'), current_database(), current_schema()"
_ENTRY = re.compile(r'(?:"[^"]*"|[^,"])+')
_NAME = re.compile(r'"([^"]*)"|([^."]+)')


def store_path(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the path of the store that a connection reads, `:memory:` for one in memory.

    Args:
        connection: A store.
    """
    sql = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    (path,) = connection.execute(sql).fetchall()[0]
    return path or MEMORY


def store_with_files(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the path of the store whose files `FROM embeddings` reads.

    Args:
        connection: A connection to a store.

    Returns:
        None if `embeddings` is something else: a table, as in an exported store, or a view of the
        user's own, in a schema of its own.
    """
    found = {(name, schema): sql for name, schema, sql in connection.execute(_RELATIONS).fetchall()}
    for place in _search_path(connection):
        if place in found:
            if found[place] is None or not is_view_of_files(found[place]):
                return None
            sql = "SELECT path FROM duckdb_databases() WHERE database_name = ?"
            (path,) = connection.execute(sql, [place[0]]).fetchall()[0]
            return path or MEMORY
    return None


def _search_path(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return the databases and schemas in which a connection looks names up, in their order."""
    ((stated, database, schema),) = connection.execute(_PATH).fetchall()
    places = []
    for entry in _ENTRY.findall(stated):
        names = [quoted or plain.strip() for quoted, plain in _NAME.findall(entry)]
        # One name alone is a schema, or else a database.
        places += (
            [(names[0], names[1])] if names[1:] else [(database, names[0]), (names[0], "main")]
        )
    return places or [(database, schema)]


def files_of(
    connection: duckdb.DuckDBPyConnection,
    model_id: str,
    representation: str,
    dataset: str | None = None,
) -> list[VectorFile]:
    """Return the files that hold vectors of a model.

    Args:
        connection: A store whose vectors lie in files.
        model_id: The model.
        representation: The representation.
        dataset: The dataset; None for all.
    """
    store = store_with_files(connection)
    files = [] if store is None else list_vector_files(connection, store, model_id, dataset)
    return [file for file in files if file.representation == representation]


def find_damage(
    connection: duckdb.DuckDBPyConnection, dataset: str | None = None
) -> dict[tuple[str, str], str]:
    """Find files that are missing, or not as long as they were.

    Args:
        connection: A store.
        dataset: The dataset; None for all.

    Returns:
        What is wrong and what mends it, by model_id and representation: one file of each.
    """
    store = store_with_files(connection)
    files = [] if store is None else list_vector_files(connection, store, dataset=dataset)
    return {
        (file.model_id, file.representation): file.fault for file in files if file.fault is not None
    }


def read_files(
    connection: duckdb.DuckDBPyConnection,
    model_id: str,
    representation: str,
    dataset: str,
    systems: Collection[str] | None,
    name: str,
) -> NDArray[np.float32]:
    """Return the vectors of one model, (n, d), in the order of system_id.

    Checksums of all pages are verified on the way.

    Args:
        connection: A store whose vectors lie in files.
        model_id: The model.
        representation: The representation.
        dataset: The dataset.
        systems: The systems that are asked for; None for all.
        name: How reasons call the model.

    Raises:
        Undefined: A file is damaged, or the vectors differ in length.
    """
    files = files_of(connection, model_id, representation, dataset)
    out_of_place = connection.execute(
        SUPERSEDED, [representation, sorted({file.run_id for file in files})]
    ).to_arrow_table()
    wanted = None if systems is None else pa.array(sorted(systems), pa.string())
    parts = [
        _keep(_read(connection, file), _of_run(out_of_place, file.run_id), wanted) for file in files
    ]
    parts = [part for part in parts if part.num_rows]
    if not parts:
        return np.empty((0, 0), dtype=np.float32)
    ids = pa.chunked_array([chunk for part in parts for chunk in part["system_id"].chunks])
    return _fill(parts, _places(ids), name)


def _read(connection: duckdb.DuckDBPyConnection, file: VectorFile) -> pa.Table:
    if file.fault is not None:
        raise Undefined(file.fault)
    try:
        if file.is_local:
            table = pq.read_table(file.path, columns=COLUMNS, page_checksum_verification=True)
        else:
            table = connection.execute(OBJECT, [escape_glob(file.path)]).to_arrow_table()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Undefined(f"{file.path} is damaged ({error}): {file.remedy}") from error
    except duckdb.IOException as error:
        raise Undefined(f"{file.path} cannot be read ({one_line(error)}): {file.remedy}") from error
    if table.num_rows != file.rows:
        raise Undefined(
            f"{file.path} has {table.num_rows} rows, expected {file.rows}: {file.remedy}"
        )
    return table


def _of_run(superseded: pa.Table, run_id: str) -> pa.ChunkedArray:
    return superseded.filter(pc.equal(superseded["run_id"], run_id))["system_id"]


def _keep(table: pa.Table, superseded: pa.ChunkedArray, wanted: pa.Array | None) -> pa.Table:
    """Return the rows of a file that count, and that are asked for."""
    ids = table["system_id"]
    if len(superseded):
        table = table.filter(pc.invert(pc.is_in(ids, superseded)))
        ids = table["system_id"]
    return table if wanted is None else table.filter(pc.is_in(ids, wanted))


def _places(ids: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """Return the place of each row in the order of system_id; None if that is their order."""
    ids = ids.combine_chunks()
    if pc.all(pc.less_equal(ids[:-1], ids[1:])).as_py() is not False:
        return None
    order = pc.sort_indices(ids).to_numpy()
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def _fill(
    parts: Sequence[pa.Table], places: NDArray[np.int64] | None, name: str
) -> NDArray[np.float32]:
    """Return the vectors of tables as one, each at its place."""
    chunks = [chunk for part in parts for chunk in part["vector"].chunks if len(chunk)]
    widths = sorted({int(width) for chunk in chunks for width in _widths(chunk)})
    if len(widths) > 1:
        raise Undefined(f"the vectors of {name} differ in length ({widths[0]} to {widths[-1]})")
    vectors = np.empty((sum(map(len, chunks)), widths[0]), dtype=np.float32)
    done = 0
    for chunk in chunks:
        rows = chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1)
        target = slice(done, done + len(chunk))
        vectors[target if places is None else places[target]] = rows
        done += len(chunk)
    return vectors


def _widths(chunk: pa.ListArray) -> list[int]:
    found = pc.min_max(pc.list_value_length(chunk)).as_py()
    return [found["min"], found["max"]]
