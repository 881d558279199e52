"""A process that answers statements, one after another, and can do nothing but read the store.

Three walls stand one behind another. Only a single SELECT is run. The store is opened read-only,
and anew for each statement, so that nothing of one is left for the next, and whoever writes to the
store meanwhile is not kept waiting for longer than a statement. And DuckDB may open no files but
the store's vectors, and load no extension.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb

from query import connect
from query.serve.limits import Limits
from query.sql.output import error_sentence
from schemas.errors import StoreError
from schemas.vectors import list_vector_files
from schemas.views import VIEWS
from zoo.errors import MatterzooError

READY = b"ready"  # what a reader sends once it can answer
_NOT_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def read_forever(pipe: Connection, store: Path, limits: Limits) -> None:
    """Answer the statements that come through a pipe until its other end is closed.

    Args:
        pipe: Statements as text come in; READY, then answers as JSON go out.
        store: The store's file.
        limits: What a statement may take.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which closes the pipe
    sys.stderr = sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123
    import query.sql.registration  # noqa: F401  # what computes takes seconds to import

    pipe.send_bytes(READY)
    while True:
        try:
            statement = pipe.recv_bytes().decode()
        except EOFError:
            return
        pipe.send_bytes(answer(statement, store, limits))


def answer(statement: str, store: Path, limits: Limits) -> bytes:
    """Run a statement and return what comes of it.

    Args:
        statement: The SQL.
        store: The store's file.
        limits: What it may take.

    Returns:
        JSON: columns (name and type of each), rows (lists), whether rows were left out
        (`is_cut`), and seconds; or an `error`, one sentence.
    """
    began = time.monotonic()
    try:
        require_select(statement)
        with connect(store) as connection:
            restrict(connection, store, limits)
            relation = connection.sql(statement)
            columns = [
                {"name": name, "type": str(kind)}
                for name, kind in zip(relation.columns, relation.types, strict=True)
            ]
            rows, is_cut = _first_rows(relation, limits)
    except (duckdb.Error, ValueError, MatterzooError) as error:
        return json.dumps({"error": error_sentence(error)}).encode()
    head = json.dumps({"columns": columns, "is_cut": is_cut, "seconds": time.monotonic() - began})
    return b"".join([head[:-1].encode(), b', "rows": [', b",".join(rows), b"]}"])


def require_select(statement: str) -> None:
    """Refuse whatever is not one SELECT.

    Args:
        statement: The SQL.

    Raises:
        ValueError: It is something else, or several statements.
        duckdb.Error: It is no SQL.
    """
    found = duckdb.extract_statements(statement)
    if len(found) != 1:
        raise ValueError(f"{len(found)} statements were sent; one at a time is answered")
    if found[0].type != duckdb.StatementType.SELECT:
        kind = str(found[0].type).removeprefix("StatementType.")
        raise ValueError(f"{kind} is not answered here, where the store can only be read: SELECT")


def restrict(connection: duckdb.DuckDBPyConnection, store: Path, limits: Limits) -> None:
    """Let a connection open no file but the store's vectors; nothing can undo that.

    Args:
        connection: A connection to the store.
        store: The store's file.
        limits: Has the memory that DuckDB may take.

    Raises:
        StoreError: Vectors of the store are elsewhere than on a file system.
    """
    files = list_vector_files(connection, store, nodes=None)
    paths = [file.path for file in files] + [str(view.no_file) for view in VIEWS]
    if not all(file.is_local for file in files):
        raise StoreError(f"the vectors of {store} are in an object store, which is not served")
    connection.execute("SET allowed_paths = ?", [paths])
    connection.execute("SET memory_limit = ?", [limits.memory])
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET enable_external_access = false")


def _first_rows(relation: duckdb.DuckDBPyRelation, limits: Limits) -> tuple[list[bytes], bool]:
    """Return rows as JSON until a limit is met, and whether there are more."""
    rows: list[bytes] = []
    left = limits.megabytes * 1e6
    for row in _rows(relation):
        text = json.dumps([plain(value) for value in row]).encode()
        left -= len(text)
        if len(rows) == limits.rows or left < 0:
            return rows, True
        rows.append(text)
    return rows, False


def _rows(relation: duckdb.DuckDBPyRelation) -> Iterator[tuple[Any, ...]]:
    while row := relation.fetchone():
        yield row


def plain(value: Any) -> Any:
    """Return a value of SQL as JSON has it.

    Args:
        value: What DuckDB gives. Numbers that JSON lacks become 'NaN', 'Infinity' or '-Infinity',
            whole ones that JavaScript would round become text, bytes become hexadecimal digits.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return _NOT_NUMBERS[str(value)]
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
