"""The store whose vector files a connection reads, and which of them are damaged."""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from query.reading.kept.finds import keep, open_finds
from schemas.paths import MEMORY
from schemas.vectors import VectorFile, list_vector_files
from schemas.views import is_view_of_files

_RELATIONS = """
SELECT database_name, schema_name, sql FROM duckdb_views() WHERE view_name = 'embeddings'
UNION ALL
SELECT database_name, schema_name, NULL FROM duckdb_tables() WHERE table_name = 'embeddings'
"""
_PATH = "SELECT current_setting('search_path'), current_database(), current_schema()"
# What decides which store a connection reads; the path is NULL of what is in memory.
_READ = """
SELECT
    current_setting('search_path'), current_database(), current_schema(), database_name, path
FROM duckdb_databases() WHERE NOT internal
"""
_FILE_BYTES = 2**10  # of a registered file, about
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
    """Return the path of the store whose files `FROM embeddings` reads; kept while finds are.

    Args:
        connection: A connection to a store.

    Returns:
        None if `embeddings` is something else: a table, as in an exported store, or a view of the
        user's own, in a schema of its own.
    """
    if open_finds() is None:
        return _find_store(connection)
    read = tuple(connection.execute(_READ).fetchall())
    if any(row[-1] is None for row in read):  # a store in memory has no name of its own
        return _find_store(connection)
    key = "store with files", read
    found: tuple[str | None] = keep(key, lambda: (_find_store(connection),), lambda _: _FILE_BYTES)
    return found[0]


def _find_store(connection: duckdb.DuckDBPyConnection) -> str | None:
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


def list_files(
    connection: duckdb.DuckDBPyConnection, store: str, dataset: str | None = None
) -> list[VectorFile]:
    """Return the registered files of vectors of systems, by name; kept while finds are.

    Args:
        connection: A store.
        store: Its path.
        dataset: Only files of this dataset; None for all.
    """

    def find() -> list[VectorFile]:
        return list_vector_files(connection, store, dataset=dataset)

    if open_finds() is None:
        return find()
    registered = tuple(connection.execute("FROM vector_files").fetchall())
    key = "files", store, dataset, registered
    found: list[VectorFile] = keep(key, find, lambda files: _FILE_BYTES * len(files))
    return list(found)


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
    return faults([] if store is None else list_files(connection, store, dataset))


def faults(files: Iterable[VectorFile]) -> dict[tuple[str, str], str]:
    """Return what is wrong with files and what mends it, by model_id and representation.

    Args:
        files: The files.
    """
    return {
        (file.model_id, file.representation): file.fault for file in files if file.fault is not None
    }
