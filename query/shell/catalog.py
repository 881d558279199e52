"""What DuckDB's catalog says of the store in use: its tables, their columns, the functions.

A view counts as a table.

Tables of other attached databases are left out: a name means the store in use, as in a query.
"""

from __future__ import annotations

import duckdb

from query.sql.literals import literal

_IN_USE = "database_name IN (current_database(), 'temp') AND NOT internal"
_TABLES = f"""
    SELECT table_name, comment, format('"{{}}"."{{}}"."{{}}"', database_name, schema_name,
           replace(table_name, '"', '""'))
    FROM (
        SELECT database_name, schema_name, table_name, comment, internal FROM duckdb_tables()
        UNION ALL
        SELECT database_name, schema_name, view_name, comment, internal FROM duckdb_views()
    ) WHERE {_IN_USE} ORDER BY table_name
"""
_COLUMNS = f"""
    SELECT table_name AS "table", column_name AS "column", data_type AS type, comment
    FROM duckdb_columns() WHERE {_IN_USE} AND coalesce(table_name = $table, true)
    ORDER BY table_name, column_index
"""


def read_names(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    """Return the rows of a query with two columns, a name and what is said about it.

    Args:
        connection: A connection to a store.
        sql: A query with two columns of text.

    Returns:
        The second column by the first.
    """
    return dict(connection.execute(sql).fetchall())


def table_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the tables of the store in use, in alphabetical order.

    Args:
        connection: A connection to a store.
    """
    return [name for name, _, _ in connection.execute(_TABLES).fetchall()]


def count_tables(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """Return each table with its number of rows and its meaning.

    The rows are counted: the size that DuckDB estimates for a table includes deleted rows.

    Args:
        connection: A connection to a store.

    Returns:
        A relation with the columns table, rows and comment.
    """
    counts = [
        f'SELECT {literal(name)} AS "table", count(*) AS "rows", {literal(comment)} AS comment '
        f"FROM {qualified}"
        for name, comment, qualified in connection.execute(_TABLES).fetchall()
    ]
    return connection.sql(f"FROM ({' UNION ALL '.join(counts)}) ORDER BY ALL")


def columns(
    connection: duckdb.DuckDBPyConnection, table: str | None = None
) -> duckdb.DuckDBPyRelation:
    """Return the columns of a table with their types and meanings.

    Args:
        connection: A connection to a store.
        table: The name of a table; None stands for all tables.

    Returns:
        A relation with the columns table, column, type and comment.
    """
    return connection.sql(_COLUMNS, params={"table": table})
