"""The statements in examples/: SQL files with named words, so that each can be asked, copied, drawn and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from query.engine.suggestions import nearest_name
from query.sql.literals import literal

EXAMPLES = Path(__file__).parent
# The first line of a file says how it is called: -- matrix DATASET [metric=cknna]
USAGE = re.compile(r"^-- (\w+)((?: [A-Z_]+)*)((?: \[\w+=.*?\])*)$")
HOLE = re.compile(r"getvariable\('(\w+)'\)")


class Statement:
    """A file of SQL in examples/, called by its name; its words stand in the text as getvariable('word')."""

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self.text = file.read_text(encoding="utf-8")
        first, second = self.text.splitlines()[:2]
        usage = USAGE.match(first)
        if usage is None:
            raise ValueError(
                f"{file}: the first line is {first!r}, expected '-- {file.stem} WORD … [option=…] …'"
            )
        self.usage = first.removeprefix("-- ")
        self.about = second.removeprefix("-- ")
        self.words = usage[2].lower().split()
        self.options = re.findall(r"\[(\w+)=", usage[3])

    def given(self, arguments: Sequence[str]) -> dict[str, str]:
        """What words of a command line, 'aflow' and 'metric=cka', give to whom. Raises ValueError on wrong ones."""
        plain = [word for word in arguments if "=" not in word]
        named = [word.split("=", 1) for word in arguments if "=" in word]
        if len(plain) != len(self.words):
            raise ValueError(f"usage: matterzoo query {self.usage}")
        return dict(zip(self.words, plain, strict=True)) | {name: value for name, value in named}

    def sql(self, values: Mapping[str, Any]) -> str:
        """The text with values in it, to be run or copied as it is. A word that has none is NULL: the default.

        Raises ValueError on a name that the statement does not have.
        """
        known = [*self.words, *self.options]
        for name in values:
            if name not in known:
                raise ValueError(
                    f"no option '{name}'{nearest_name(name, known)}; usage: {self.usage}"
                )
        return HOLE.sub(lambda hole: literal(values.get(hole[1])), self.text)


@dataclass(frozen=True)
class Answer:
    """What a statement gave: its name, the SQL that was run, and the result."""

    name: str
    sql: str
    table: pa.Table

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows


def find_statements() -> dict[str, Statement]:
    """All files of examples/, by name."""
    return {file.stem: Statement(file) for file in sorted(EXAMPLES.glob("*.sql"))}


def ask(connection: duckdb.DuckDBPyConnection, name: str, **values: Any) -> Answer:
    """Run the statement called `name` with these values. Raises ValueError, or what DuckDB does."""
    sql = Statement(EXAMPLES / f"{name}.sql").sql(values)
    return Answer(name, sql, connection.sql(sql).to_arrow_table())
