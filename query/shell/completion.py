"""Completion of names at the SQL prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import duckdb
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from query.shell.catalog import read_names, table_names
from query.shell.commands import COMMANDS
from query.sql.macros import signatures

_OPEN_STRING = re.compile(r"^(?:[^']*'[^']*')*[^']*'([^']*)$", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
_STRINGS = (
    "SELECT model_id, title FROM models",
    "SELECT dataset, title FROM datasets",
)
_NAMES = (
    "SELECT DISTINCT function_name, 'function' FROM duckdb_functions()",
    "SELECT keyword_name, 'keyword' FROM duckdb_keywords()",
    "SELECT DISTINCT column_name, 'column' FROM duckdb_columns() WHERE NOT internal",
)


class NameCompleter(Completer):
    """Completes models and datasets inside quotes, and elsewhere the names that SQL knows.

    These are tables, columns, functions and keywords; at the beginning of a line, also the
    commands of the prompt.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Read the names.

        Args:
            connection: A connection to a store, with our functions.
        """
        ours = signatures()
        tables = dict.fromkeys(table_names(connection), "table")
        self._strings = _read_all(connection, _STRINGS)
        self._names = {**_read_all(connection, _NAMES), **tables, **ours}
        self._first = {*ours, *tables}

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield the completions of what stands before the cursor.

        Args:
            document: The text that was typed, and where the cursor is.
            complete_event: What asked for completions; of no importance here.

        Yields:
            Our functions and the tables first, then all others by name.
        """
        before = document.text_before_cursor
        string = _OPEN_STRING.match(before)
        if before.startswith("."):
            yield from self._matching(before, COMMANDS)
        elif string is not None:
            yield from self._matching(string[1], self._strings)
        elif (word := _IDENTIFIER.search(before)) is not None:
            yield from self._matching(word[0], self._names)

    def _matching(self, typed: str, known: Mapping[str, str]) -> Iterator[Completion]:
        """Yield the known names that begin with what was typed, each with its meaning."""
        fitting = [
            name
            for name in known
            if name.lower().startswith(typed.lower()) and not name.startswith("__")
        ]
        for name in sorted(fitting, key=lambda name: (name not in self._first, name)):
            yield Completion(name, start_position=-len(typed), display_meta=known[name])


def _read_all(connection: duckdb.DuckDBPyConnection, queries: tuple[str, ...]) -> dict[str, str]:
    return {name: about for sql in queries for name, about in read_names(connection, sql).items()}
