"""DuckDB's memory while a table function reads the store, so that metrics keep their own room."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import duckdb

LIMIT = 10**9  # bytes; reading in order of system_id needs less, and what exceeds it goes to disk

_changing = threading.Lock()
# By store: the limit as it was, None if it was no larger, and how many are reading.
_reading: dict[str, tuple[str | None, int]] = {}


@contextlib.contextmanager
def limited_memory(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Limit DuckDB's buffer pool for a store, which all its connections share, to LIMIT.

    The limit that was set before is restored when the last of several concurrent uses ends.

    Args:
        connection: A connection to the store.

    Yields:
        Nothing.
    """
    sql = """
        SELECT coalesce(path, ''), current_setting('memory_limit'),
               parse_formatted_bytes(current_setting('memory_limit'))
        FROM duckdb_databases() WHERE database_name = current_database()
    """
    with _changing:
        store, limit, size = connection.execute(sql).fetchall()[0]
        before, count = _reading.get(store, (limit if size > LIMIT else None, 0))
        _reading[store] = before, count + 1
        if size > LIMIT:
            _set_limit(connection, f"{LIMIT}B")
    try:
        yield
    finally:
        with _changing:
            before, count = _reading.pop(store)
            if count > 1:
                _reading[store] = before, count - 1
            elif before is not None:
                number, unit = before.split()
                # DuckDB shows one digit after the point, and cuts off the others.
                _set_limit(connection, f"{float(number) + 0.05} {unit}")


def _set_limit(connection: duckdb.DuckDBPyConnection, size: str) -> None:
    # The rest of the query may hold more than that.
    with contextlib.suppress(duckdb.OutOfMemoryException):
        connection.execute(f"SET memory_limit = '{size}'")
