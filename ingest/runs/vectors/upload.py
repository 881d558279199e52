"""Put vector files into an object store, byte by byte as they are, through DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from ingest.integrity import Damaged
from schemas.errors import StoreError
from schemas.message import one_line
from schemas.object_stores import load_httpfs
from schemas.paths import escape_glob


def upload(file: Path, address: str) -> None:
    """Copy a file into an object store. It appears there whole or not at all.

    Args:
        file: The file.
        address: Where it is to be; an object of that name is replaced.

    Raises:
        StoreError: The object store refuses it, or cannot be reached.
    """
    content = f"SELECT content FROM read_blob({_literal(escape_glob(file))})"
    with _connected(f"{file} cannot be written to {address}") as connection:
        connection.execute(f"COPY ({content}) TO {_literal(address)} (FORMAT BLOB)")


def download(address: str, file: Path) -> None:
    """Copy an object to a file.

    Args:
        address: The object.
        file: The file; one of that name is replaced.

    Raises:
        StoreError: The object is not there, or cannot be read.
    """
    content = f"SELECT content FROM read_blob({_literal(escape_glob(address))})"
    with _connected(f"{address} cannot be read") as connection:
        connection.execute(f"COPY ({content}) TO {_literal(str(file))} (FORMAT BLOB)")


def check_object(address: str, stated: dict[str, Any]) -> None:
    """Compare an object with the stamp that was noted when its file was written.

    Args:
        address: The object.
        stated: Its stamp, see `zoo.worker.sealed`.

    Raises:
        Damaged: The object has other bytes, is not there, or cannot be read.
    """
    query = f"SELECT size, sha256(content) FROM read_blob({_literal(escape_glob(address))})"
    try:
        with _connected(f"{address} cannot be read") as connection:
            [(size, sha256)] = connection.execute(query).fetchall()
    except StoreError as error:
        raise Damaged(str(error)) from error
    if {"size": size, "sha256": sha256} != stated:
        raise Damaged(
            f"{address} is damaged: expected {stated['size']} bytes with SHA-256 "
            f"{stated['sha256'][:12]}…, found {size} bytes with SHA-256 {sha256[:12]}…"
        )


@contextmanager
def _connected(fault: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection of its own, as that of a store has no memory for a whole file."""
    with duckdb.connect() as connection:
        load_httpfs(connection)
        try:
            yield connection
        except duckdb.Error as error:
            raise StoreError(f"{fault}: {one_line(error)}") from error


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
