"""The numbered SQL files of this folder, and how they are applied to a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from schemas.errors import StoreError, StoreOld
from schemas.paths import MEMORY

FOLDER = Path(__file__).resolve().parent
VECTORS = 5  # the version from which vectors lie in files


def migrations() -> dict[int, Path]:
    """Return the SQL files of this folder by version: 001_store.sql is version 1."""
    return {int(file.name[:3]): file for file in sorted(FOLDER.glob("[0-9][0-9][0-9]_*.sql"))}


def migrate(connection: duckdb.DuckDBPyConnection, path: str | Path, *, read_only: bool) -> None:
    """Bring the tables of an open store up to date.

    Args:
        connection: The store.
        path: Its path.
        read_only: Whether it was opened to be read only.

    Raises:
        StoreOld: The tables are of an older version, and the store was opened to be read only, or
            holds vectors in a table, which only `matterzoo migrate` writes to files.
        StoreError: The file is no store, or is of a newer version.
    """
    known = migrations()
    version = version_of(connection, path)
    if version > max(known):
        raise StoreError(
            f"{path} was made by matterzoo schema {version}, this one knows up to {max(known)}: "
            "update matterzoo"
        )
    missing = {v: file for v, file in known.items() if v > version}
    if 0 < version < VECTORS and _holds_vectors(connection):
        raise StoreOld(
            f"{path} has matterzoo schema {version} and holds its vectors itself, this one reads "
            f"{max(known)}, with vectors in files; `matterzoo migrate` writes them, and computes "
            "nothing again"
        )
    if missing and read_only:
        raise StoreOld(
            f"{path} has matterzoo schema {version}, this one reads {max(known)}; "
            "`matterzoo migrate` updates it, and so does any `matterzoo ingest`"
        )
    if missing:
        migrate_safely(connection, Path(path), missing)


def apply(
    connection: duckdb.DuckDBPyConnection,
    files: Mapping[int, Path],
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Run SQL files in order, all or none, and write the result into the file itself.

    DuckDB 1.5.5 cannot replay ALTER or COMMENT of a table with a CHECK out of its WAL
    (duckdb/duckdb#19712 and others): left there, a process that dies leaves a store that nothing
    opens.

    Args:
        connection: The store.
        files: The SQL files by version.
        before: Is called within the transaction before the files are run.
        after: Is called within the transaction once they are.

    Raises:
        duckdb.Error: A statement fails, and nothing has changed.
    """
    connection.execute("BEGIN")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version "
            "(version INTEGER PRIMARY KEY, applied TIMESTAMPTZ NOT NULL)"
        )
        before()
        for file in files.values():
            connection.execute(file.read_text())
        versions = ", ".join(f"({version}, now())" for version in files)
        connection.execute(f"INSERT INTO schema_version VALUES {versions}")
        after()
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    connection.execute("CHECKPOINT")


def undo_migration(path: Path) -> bool:
    """Put aside the WAL of a migration that was cut off.

    Nobody is at work on it: DuckDB takes the file's lock before it reads the WAL, and would have
    said so.

    Args:
        path: A store that cannot be opened.

    Returns:
        Whether there was such a WAL, so that the store may open now.
    """
    mark, wal = _mark_of_migration(path), path.with_name(f"{path.name}.wal")
    if not (mark.exists() and wal.exists()):
        return False
    wal.replace(wal.with_name(f"{wal.name}.broken"))
    mark.unlink(missing_ok=True)
    return True


def migrate_safely(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    files: Mapping[int, Path],
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Apply files to a store that holds something; a kill, or a full disk, leaves it as it was.

    Args:
        connection: The store.
        path: Its path.
        files: The SQL files by version.
        before: See `apply`.
        after: See `apply`.
    """
    if str(path) == MEMORY:
        apply(connection, files, before, after)
        return
    # From here to the mark's end the WAL holds nothing but the migration.
    connection.execute("CHECKPOINT")
    mark = _mark_of_migration(path)
    mark.touch()
    apply(connection, files, before, after)
    mark.unlink(missing_ok=True)


def _mark_of_migration(path: Path) -> Path:
    return path.with_name(f".{path.name}.migrating")


def version_of(connection: duckdb.DuckDBPyConnection, path: str | Path) -> int:
    """Return the version of a store's tables, 0 for an empty file.

    Args:
        connection: The store.
        path: Its path.

    Raises:
        StoreError: The file is no store.
    """
    try:
        query = "SELECT coalesce(max(version), 0) FROM schema_version"
        rows = connection.execute(query).fetchall()
    except duckdb.CatalogException:
        _refuse_other_tables(connection, path)
        return 0
    return int(rows[0][0])


def _refuse_other_tables(connection: duckdb.DuckDBPyConnection, path: str | Path) -> None:
    """Refuse a file without schema_version that holds other tables."""
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    tables = {name for (name,) in connection.execute(query).fetchall()}
    if "exported" in tables:
        raise StoreError(
            f"{path} is an exported store; `matterzoo import {path}` takes it into a store"
        )
    if tables:
        raise StoreError(
            f"{path} is a DuckDB file but no store: it has no table schema_version. Give another "
            "path"
        )


def _holds_vectors(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a store of an older version has vectors."""
    return connection.execute("SELECT 1 FROM embeddings LIMIT 1").fetchone() is not None
