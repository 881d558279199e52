"""Vectors in an object store, such as s3://bucket/prefix, through DuckDB's own httpfs.

Credentials are found as DuckDB finds them: a persistent secret (CREATE PERSISTENT SECRET), or the
variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and so on.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from schemas.errors import StoreError
from schemas.message import one_line

_PACKAGE = "duckdb_extension_httpfs"  # on PyPI, of the same version as duckdb


def is_remote(place: str | Path) -> bool:
    """Return whether a path is an address of an object store, and not of a file system.

    Args:
        place: A path or an address.
    """
    return "://" in str(place)


def load_httpfs(connection: duckdb.DuckDBPyConnection) -> None:
    """Have a connection read and write addresses of object stores.

    Args:
        connection: Any connection.

    Raises:
        StoreError: The extension is not on this machine and cannot be downloaded.
    """
    query = "SELECT loaded FROM duckdb_extensions() WHERE extension_name = 'httpfs'"
    if connection.execute(query).fetchone() == (True,):
        return
    file = _packaged()
    try:
        if file is None:
            connection.execute("INSTALL httpfs")
        extension = "httpfs" if file is None else "'" + str(file).replace("'", "''") + "'"
        connection.execute(f"LOAD {extension}")
    except duckdb.Error as error:
        raise StoreError(
            "the store's vectors lie in an object store, which DuckDB reads by its extension "
            f"httpfs; it cannot be loaded ({one_line(error)}): "
            f"pip install duckdb-extension-httpfs=={duckdb.__version__}"
        ) from error


def _packaged() -> Path | None:
    """Return the extension that a Python package has brought, if there is one of this version."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / "httpfs.duckdb_extension"
    return file if file.exists() else None
