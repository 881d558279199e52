"""Statements for figures and questions: SQL files with named words.

Each can be asked, copied, drawn and checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from query.engine.suggestions import nearest_name
from query.reading.kept.finds import keep_finds
from query.sql.literals import literal

FOLDER = Path(__file__).parent

# The first line of a file says how it is called: -- convergence DATASET SCORE [metric=cknna]
_USAGE = re.compile(r"^-- (\w+)((?: [A-Z_]+)*)((?: \[\w+=.*?\])*)$")
_HOLE = re.compile(r"getvariable\('(\w+)'\)")


class Statement:
    """A file of SQL, called by its name; words stand in its text as getvariable('word').

    Attributes:
        name: The name of the file without its ending.
        text: The SQL.
        usage: How it is called: 'convergence DATASET SCORE [metric=cknna]'.
        about: What it answers, a sentence or more.
        words: Words that have to be given, in their order.
        options: Words that may be given.
    """

    def __init__(self, file: Path) -> None:
        """Read a file.

        Args:
            file: The file. Its first line is '-- ' and the usage, which may go on in lines that
                begin with '--   '; the comments below say what it answers.

        Raises:
            ValueError: If the first line does not say how it is called.
        """
        self.name = file.stem
        self.text = file.read_text(encoding="utf-8")
        usage, about = _read_header(self.text.splitlines())
        parts = _USAGE.match(usage)
        if parts is None:
            raise ValueError(
                f"{file}: the first line is {usage!r}, "
                f"expected '-- {file.stem} WORD … [option=…] …'"
            )
        self.usage = usage.removeprefix("-- ")
        self.about = about
        self.words = parts[2].lower().split()
        self.options = re.findall(r"\[(\w+)=", parts[3])

    def given(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return what the words of a command line mean.

        Args:
            arguments: Such as 'aflow' and 'metric=cka'.

        Returns:
            Values by word.

        Raises:
            ValueError: If there are too few or too many words without a name.
        """
        plain = [word for word in arguments if "=" not in word]
        named = [word.split("=", 1) for word in arguments if "=" in word]
        if len(plain) != len(self.words):
            raise ValueError(f"usage: matterzoo query {self.usage}")
        return dict(zip(self.words, plain, strict=True)) | {name: value for name, value in named}

    def sql(self, values: Mapping[str, Any]) -> str:
        """Return the text with values in it, to be run or copied as it is.

        Args:
            values: Values by word; a word without one is NULL, the default.

        Raises:
            ValueError: If the statement does not have such a word.
        """
        known = [*self.words, *self.options]
        for name in values:
            if name not in known:
                raise ValueError(
                    f"no option '{name}'{nearest_name(name, known)}; usage: {self.usage}"
                )
        return _HOLE.sub(lambda hole: literal(values.get(hole[1])), self.text)


@dataclass(frozen=True)
class Answer:
    """What a statement returned.

    Attributes:
        name: The statement.
        sql: The SQL that was run.
        table: The result.
    """

    name: str
    sql: str
    table: pa.Table

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows


Kept = dict[tuple[int, str], Answer]  # by the connection's id and the SQL
_kept: ContextVar[Kept | None] = ContextVar("kept", default=None)  # None: answers are not kept


@contextmanager
def keep_answers(kept: Kept | None = None) -> Iterator[None]:
    """Run no statement twice inside, for figures that show the same answer in several ways.

    Other statements find nothing again that these have found of the same vectors; see `keep_finds`.

    The store must not change meanwhile, and connections must stay open.

    Args:
        kept: Answers that were kept before; others are added.

    Yields:
        Nothing.
    """
    token = _kept.set({} if kept is None else kept)
    try:
        with keep_finds():
            yield
    finally:
        _kept.reset(token)


def find_statements() -> dict[str, Statement]:
    """Return all statements by name."""
    return {file.stem: Statement(file) for file in sorted(FOLDER.glob("*.sql"))}


def ask(connection: duckdb.DuckDBPyConnection, name: str, **values: Any) -> Answer:
    """Run a statement, and return what it gave; see also `keep_answers`.

    Args:
        connection: A connection to a store, with our functions.
        name: The statement.
        **values: Values by word.

    Returns:
        The SQL and its result.

    Raises:
        ValueError: If the statement does not have such a word.
    """
    return answer_of(connection, name, Statement(FOLDER / f"{name}.sql").sql(values))


def answer_of(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> Answer:
    """Run SQL, and return what it gave; see also `keep_answers`.

    Args:
        connection: A connection to a store, with our functions.
        name: What the answer is called.
        sql: The SQL.
    """
    kept = _kept.get()
    known = None if kept is None else kept.get((id(connection), sql))
    found = known or Answer(name, sql, connection.sql(sql).to_arrow_table())
    if kept is not None:
        kept[id(connection), sql] = found
    return found


def _read_header(lines: Sequence[str]) -> tuple[str, str]:
    """Return how a statement is called, and what it answers, out of the comments above it."""
    usage = lines[0]
    about: list[str] = []
    for line in lines[1:]:
        if line.startswith("--   ") and not about:
            usage += line.removeprefix("--  ")
        elif line.startswith("-- "):
            about.append(line.removeprefix("-- "))
        else:
            break
    return usage, " ".join(about)
