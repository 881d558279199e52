"""A SQL prompt on a store: history, completion, several lines until a semicolon; or a batch from standard input."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output

from query.engine.suggestions import did_you_mean
from query.sql.interrupt import interruptible
from query.sql.output import is_complete, sentence, show, show_long, statements
from query.sql.registration import signatures

HISTORY = Path.home() / ".matterzoo_history"
OPEN_STRING = re.compile(r"^(?:[^']*'[^']*')*[^']*'([^']*)$", re.DOTALL)
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
COMMANDS = {
    ".help": "the functions of this project and these commands; .help FUNCTION for one function",
    ".tables": "the tables, with their size and meaning",
    ".schema": "the columns, with their units and shapes; .schema TABLE for one table",
    ".long": "the next result with a line per column, for one that is wider than the screen: .long FROM models",
    ".clear": "clear the screen",
    ".quit": "leave (or Ctrl-D)",
}
TABLES = "SELECT table_name, comment FROM duckdb_tables() ORDER BY table_name"
TABLES_ONLY = "SELECT table_name, 'table' FROM duckdb_tables()"
COLUMNS = """
    SELECT table_name AS "table", column_name AS "column", data_type AS type, comment
    FROM duckdb_columns() WHERE NOT internal AND coalesce(table_name = $table, true) ORDER BY table_name, column_index
"""


class Words(Completer):
    """Names to complete: inside quotes the models and datasets, elsewhere tables, columns, functions and keywords."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        ours = signatures()
        self.strings = {
            **_column(connection, "SELECT model_id, title FROM models"),
            **_column(connection, "SELECT dataset, title FROM datasets"),
        }
        self.names = {
            **_column(
                connection, "SELECT DISTINCT function_name, 'function' FROM duckdb_functions()"
            ),
            **_column(connection, "SELECT keyword_name, 'keyword' FROM duckdb_keywords()"),
            **_column(
                connection,
                "SELECT DISTINCT column_name, 'column' FROM duckdb_columns() WHERE NOT internal",
            ),
            **_column(connection, TABLES_ONLY),
            **ours,
        }
        self.first = {*ours, *_column(connection, TABLES_ONLY)}

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        before = document.text_before_cursor
        string = OPEN_STRING.match(before)
        if before.startswith("."):
            yield from self._matching(before, COMMANDS)
        elif string is not None:
            yield from self._matching(string[1], self.strings)
        elif (word := IDENTIFIER.search(before)) is not None:
            yield from self._matching(word[0], self.names)

    def _matching(self, typed: str, known: dict[str, str]) -> Iterator[Completion]:
        """Ours and the tables first, then by name; our functions come with their arguments beside them."""
        fitting = [
            name
            for name in known
            if name.lower().startswith(typed.lower()) and not name.startswith("__")
        ]
        for name in sorted(fitting, key=lambda name: (name not in self.first, name)):
            yield Completion(name, start_position=-len(typed), display_meta=known[name])


def shell(
    connection: duckdb.DuckDBPyConnection,
    *,
    input: Input | None = None,
    output: Output | None = None,
) -> None:
    """Prompt until the end; where standard input is no terminal, run what it holds. Errors are shown and do not end it.

    input, output: what to talk to instead of the terminal.
    """
    if input is None and not sys.stdin.isatty():
        batch(connection, sys.stdin.read())
        return
    session: PromptSession[str] = PromptSession(
        "matterzoo> ",
        history=_history(),
        completer=Words(connection),
        complete_while_typing=False,
        multiline=True,
        prompt_continuation="      ...> ",
        key_bindings=_keys(),
        input=input,
        output=output,
    )
    print("SQL, ended by a semicolon. .help lists the functions, Tab completes, Ctrl-D leaves.")
    for text in _lines(session):
        if not _respond(connection, text):
            return


def batch(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Run statements and dot commands, a command on a line of its own between statements."""
    pending = ""
    for line in text.splitlines(keepends=True):
        if line.startswith(".") and not pending.strip():
            if not _respond(connection, line):
                return
            continue
        pending += line
        if is_complete(pending):
            _respond(connection, pending)
            pending = ""
    _respond(connection, pending)


def _lines(session: PromptSession[str]) -> Iterator[str]:
    while True:
        try:
            yield session.prompt()
        except KeyboardInterrupt:
            continue  # drop the line
        except EOFError:
            return


def _respond(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Do what was typed; False to leave."""
    words = text.split()
    if words and words[0] in (".quit", ".exit"):
        return False
    try:
        with interruptible():
            _run(connection, text, words)
    except duckdb.Error as error:
        print(sentence(error), file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return True


def _run(connection: duckdb.DuckDBPyConnection, text: str, words: list[str]) -> None:
    if words == ["clear"] or words == [
        "clear;"
    ]:  # what one types at a prompt; SQL has no such word
        words = [".clear"]
    if words and words[0].startswith("."):
        _command(connection, text, *words)
    else:
        for statement in statements(text):
            show(connection.sql(statement))


def _command(connection: duckdb.DuckDBPyConnection, text: str, command: str, *words: str) -> None:
    if command == ".help":
        _help(connection, *words)
    elif command == ".tables":
        _tables(connection)
    elif command == ".schema":
        _schema(connection, *words)
    elif command == ".long":
        show_long(connection.sql(text.partition(command)[2]))
    elif command == ".clear":
        print("\033[H\033[2J", end="", flush=True)
    else:
        print(f"no command {command}; there are: {', '.join(COMMANDS)}", file=sys.stderr)


def _tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Count the rows: what DuckDB keeps as a table's size holds deleted rows, too."""
    rows = connection.execute(TABLES).fetchall()
    counts = " UNION ALL ".join(
        f'SELECT \'{table}\' AS "table", count(*) AS "rows" FROM "{table}"' for table, _ in rows
    )
    comments = 'SELECT table_name AS "table", comment FROM duckdb_tables()'
    show(connection.sql(f'FROM ({counts}) JOIN ({comments}) USING ("table") ORDER BY 1'))


def _schema(connection: duckdb.DuckDBPyConnection, table: str | None = None, *_: str) -> None:
    known = list(_column(connection, TABLES_ONLY))
    if table is not None and table not in known:
        print(f"no table '{table}'{did_you_mean(table, known)}", file=sys.stderr)
        return
    show(connection.sql(COLUMNS, params={"table": table}))


def _help(connection: duckdb.DuckDBPyConnection, name: str | None = None, *_: str) -> None:
    about = _column(
        connection,
        "SELECT function_name, comment FROM duckdb_functions() WHERE comment IS NOT NULL",
    )
    known = signatures()
    if name is not None and name not in known:
        print(f"no function '{name}'{did_you_mean(name, list(known))}", file=sys.stderr)
        return
    for function in known if name is None else [name]:
        print(f"{known[function]}\n    {about[function]}")
    if name is None:
        print()
        for command, meaning in COMMANDS.items():
            print(f"{command:8} {meaning}")


def _keys() -> KeyBindings:
    """Enter ends a statement or a dot command, and begins a new line in an unfinished statement."""
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if not buffer.text.strip() or buffer.text.startswith(".") or is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return keys


def _history() -> History:
    """Kept between sessions where the home folder can be written."""
    return FileHistory(HISTORY) if os.access(HISTORY.parent, os.W_OK) else InMemoryHistory()


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    rows: Iterable[tuple[str, str]] = connection.execute(sql).fetchall()
    return dict(rows)
