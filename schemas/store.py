"""Open the store: one DuckDB file, its tables made by the numbered SQL files of this folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import duckdb

from schemas.errors import (
    FILE_ERRORS,
    StoreBroken,
    StoreError,
    StoreOld,
    cut_off,
    explain_message,
    not_a_store,
)
from schemas.migrations import apply, migrate, migrations, undo_migration
from schemas.paths import MEMORY
from schemas.vectors import VectorFile
from schemas.views import are_moved, follow_files
from zoo.files import move_unless_exists

HEADERS = 3 * 4096  # bytes of a DuckDB file before its first block


def connect(path: str | Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a store, with its tables up to date.

    Several processes may read at once; one may write, alone.

    Args:
        path: The store. One that does not exist is made, unless it is opened to be read only; it
            appears whole or not at all. `:memory:` is an empty store that lives as long as the
            connection.
        read_only: Whether the store is only going to be read.

    Returns:
        A connection to the store.

    Raises:
        StoreError: The store cannot be opened; the message says why and what to do.
    """
    _check_path(path, read_only)
    if str(path) != MEMORY and not Path(path).exists():
        _create(Path(path))
    connection, files = _open_migrated(path, read_only)
    if read_only and are_moved(connection, files):
        connection.close()
        # Plain clients find the files again by the view, so it is written again as soon as it may
        # be: not while others use the store, nor where nothing may be written.
        with suppress(StoreError):
            _open_migrated(path, read_only=False)[0].close()
        connection, _ = _open_migrated(path, read_only)
    return connection


def _open_migrated(
    path: str | Path, read_only: bool
) -> tuple[duckdb.DuckDBPyConnection, list[VectorFile]]:
    """Open a store that exists, with its tables up to date; also return its vector files."""
    connection = open_as_it_is(path, read_only=read_only)
    try:
        migrate(connection, path, read_only=read_only)
        files = follow_files(connection, path, read_only=read_only)
    except FILE_ERRORS as error:
        connection.close()
        raise explain_message(path, str(error), read_only=read_only) from error
    except BaseException:
        connection.close()
        raise
    return connection, files


def open_as_it_is(path: str | Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a store that may be of an older version.

    Args:
        path: A store that exists, or `:memory:`.
        read_only: Whether the store is only going to be read.

    Raises:
        StoreError: The store cannot be opened; the message says why and what to do.
    """
    try:
        return _open(path, read_only)
    except StoreBroken:
        if not undo_migration(Path(path)):
            raise
        return _open(path, read_only)


def update(path: str | Path) -> None:
    """Bring the tables of a store up to date, if there is one.

    The store is opened for writing only if its tables are of an older version.

    Args:
        path: The store.

    Raises:
        StoreError: The store cannot be opened.
    """
    if Path(path).exists():
        try:
            connect(path, read_only=True).close()
        except StoreOld:
            connect(path).close()


def _check_path(path: str | Path, read_only: bool) -> None:
    """Refuse a path that cannot be a store."""
    file = Path(path)
    if str(path) == MEMORY:
        return
    if file.is_dir():
        raise StoreError(f"{path} is a folder; a store is a file, such as {file / 'matter.duckdb'}")
    # DuckDB takes what follows for options of an address, and puts its WAL elsewhere.
    if "?" in str(path):
        raise StoreError(
            f"{path} has a '?' in it, and DuckDB opens no file below such a name; give another path"
        )
    if read_only and not file.exists():
        raise StoreError(f"there is no store at {path}; `matterzoo ingest` makes one")
    if not file.parent.is_dir():
        raise StoreError(
            f"there is no folder {file.parent} to hold the store {file.name}; make it first"
        )


def _create(path: Path) -> None:
    """Make an empty store under a temporary name, then give it its own: a kill leaves no half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _discard(temporary)
        # With more threads, empty tables take longer.
        with duckdb.connect(str(temporary), config={"threads": 1}) as connection:
            apply(connection, migrations())
        left_over = path.with_name(f"{path.name}.wal")
        if left_over.exists():  # of a store that was removed: it would be replayed into this one
            left_over.replace(left_over.with_name(f"{left_over.name}.broken"))
        move_unless_exists(temporary, path)  # another process may have made one meanwhile
    except (*FILE_ERRORS, OSError) as error:
        raise explain_message(path, str(error), read_only=False) from error
    finally:
        _discard(temporary)


def _discard(file: Path) -> None:
    for name in (file.name, f"{file.name}.wal"):
        file.with_name(name).unlink(missing_ok=True)


def _open(path: str | Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    # With a WAL, blocks may be counted that have not been written yet.
    settled = str(path) != MEMORY and not Path(f"{path}.wal").exists()
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise explain_message(path, str(error), read_only=read_only) from error
    if str(path) != MEMORY:
        _refuse_table(connection, path)
    if settled:
        _check_size(connection, path)
    return connection


def _refuse_table(connection: duckdb.DuckDBPyConnection, path: str | Path) -> None:
    """Refuse what DuckDB opens as a table to show, such as x.csv, in a database in memory."""
    query = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    if connection.execute(query).fetchone() == (None,):
        connection.close()
        raise not_a_store(path)


def _check_size(connection: duckdb.DuckDBPyConnection, path: str | Path) -> None:
    """Refuse a file that is cut off; DuckDB notices only when it reads what is missing."""
    query = (
        "SELECT used_blocks, block_size FROM pragma_database_size() "
        "WHERE database_name = current_database()"  # others may be attached since
    )
    ((blocks, block_size),) = connection.execute(query).fetchall()
    size, expected = Path(path).stat().st_size, HEADERS + blocks * block_size
    if size < expected:
        connection.close()
        raise cut_off(path, size, expected)
