"""Insert single rows into tables of the store."""

from __future__ import annotations

from typing import Any

import duckdb


def insert_row(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    """Insert one row.

    Args:
        connection: The open store.
        table: The table's name.
        row: The row, by column.
    """
    names, holes = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({holes})", list(row.values()))


def replace_row(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    """Insert one row in the place of the row with the same key.

    Args:
        connection: The open store.
        table: The table's name.
        row: The row, by column; its first column is the key.
    """
    key, value = next(iter(row.items()))
    connection.execute(f"DELETE FROM {table} WHERE {key} = ?", [value])
    insert_row(connection, table, row)
