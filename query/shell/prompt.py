"""A SQL prompt on a store, with history and completion; or a batch from standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output

from query.shell.commands import run_command
from query.shell.completion import NameCompleter
from query.sql.interrupt import interruptible
from query.sql.output import error_sentence, show
from query.sql.splitting import is_complete, split_statements

HISTORY = Path.home() / ".matterzoo_history"  # what was typed in earlier sessions


def shell(
    connection: duckdb.DuckDBPyConnection,
    *,
    input: Input | None = None,
    output: Output | None = None,
) -> None:
    """Prompt for SQL until the user leaves.

    If standard input is not a terminal, run what it holds instead. An error is printed and does
    not end the session.

    Args:
        connection: A connection to a store, with our functions.
        input: Where keys come from; None stands for the terminal.
        output: Where the prompt is drawn; None stands for the terminal.
    """
    if input is None and not sys.stdin.isatty():
        run_batch(connection, sys.stdin.read())
        return
    session: PromptSession[str] = PromptSession(
        "matterzoo> ",
        history=_history(),
        completer=NameCompleter(connection),
        complete_while_typing=False,
        multiline=True,
        prompt_continuation="      ...> ",
        key_bindings=_key_bindings(),
        input=input,
        output=output,
    )
    print("SQL, ended by a semicolon. .help lists the functions, Tab completes, Ctrl-D leaves.")
    for text in _typed(session):
        if not _respond(connection, text):
            return


def run_batch(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Run statements and commands, and print their results.

    Args:
        connection: A connection to a store, with our functions.
        text: SQL statements; a line that begins with a dot between them is a command.
    """
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


def _typed(session: PromptSession[str]) -> Iterator[str]:
    """Yield what the user types; Ctrl-C drops the line, Ctrl-D ends."""
    while True:
        try:
            yield session.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _respond(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Do what was typed, and return whether the session goes on."""
    if text.split()[:1] in ([".quit"], [".exit"]):
        return False
    try:
        with interruptible():
            _run(connection, text)
    except duckdb.Error as error:
        print(error_sentence(error), file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return True


def _run(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    if text.strip() in ("clear", "clear;"):  # typed out of habit; SQL has no such word
        text = ".clear"
    if text.lstrip().startswith("."):
        run_command(connection, text)
        return
    for statement in split_statements(text):
        show(connection.sql(statement))


def _key_bindings() -> KeyBindings:
    """Let Enter end a statement or a command, and begin a new line in an unfinished statement."""
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
    """Return the history of all sessions, or of this one if the home folder is read-only."""
    return FileHistory(HISTORY) if os.access(HISTORY.parent, os.W_OK) else InMemoryHistory()
