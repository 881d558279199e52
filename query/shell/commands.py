"""The commands of the prompt that are not SQL: .help, .tables, .schema, .long, .clear."""

from __future__ import annotations

import sys

import duckdb

from query.engine.suggestions import nearest_name
from query.shell.catalog import columns, count_tables, table_names
from query.sql.macros import comments, signatures
from query.sql.output import show, show_long
from query.sql.reference import describe

COMMANDS = {
    ".help": "the functions of this project and these commands; .help FUNCTION for one function",
    ".tables": "the tables, with their number of rows and their meaning",
    ".schema": "the columns, with their units and shapes; .schema TABLE for one table",
    ".long": "a result with one line per column, if it is wider than the screen: .long FROM models",
    ".clear": "clear the screen",
    ".quit": "leave (or Ctrl-D)",
}
_CLEAR = "\033[H\033[2J"  # the cursor to the upper left corner, then the screen empty


def run_command(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Run a command that begins with a dot, and print its result.

    An unknown command, table or function is a message on standard error.

    Args:
        connection: A connection to a store, with our functions.
        text: What was typed, such as ".schema models".
    """
    command, *words = text.split()
    if command == ".help":
        _print_help(*words)
    elif command == ".tables":
        show(count_tables(connection))
    elif command == ".schema":
        _print_schema(connection, *words)
    elif command == ".long":
        show_long(connection.sql(text.partition(command)[2]))
    elif command == ".clear":
        print(_CLEAR, end="", flush=True)
    else:
        print(f"no command {command}; there are: {', '.join(COMMANDS)}", file=sys.stderr)


def _print_schema(connection: duckdb.DuckDBPyConnection, table: str | None = None, *_: str) -> None:
    known = table_names(connection)
    if table is not None and table not in known:
        print(f"no table '{table}'{nearest_name(table, known)}", file=sys.stderr)
        return
    show(columns(connection, table))


def _print_help(name: str | None = None, *_: str) -> None:
    about = comments()
    known = signatures()
    if name is not None and name not in known:
        print(f"no function '{name}'{nearest_name(name, list(known))}", file=sys.stderr)
        return
    if name is not None:
        print(describe(name))
        return
    for function in known:
        print(f"{known[function]}\n    {about[function]}")
    print()
    for command, meaning in COMMANDS.items():
        print(f"{command:8} {meaning}")
