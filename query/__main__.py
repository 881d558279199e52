"""python -m query: ask a store in SQL."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import duckdb

from query import connect, default_store
from query.interrupt import interruptible
from query.output import sentence, show, write
from query.shell import shell
from query.vectors import nearest_name
from schemas.store import StoreError

EXAMPLES = Path(__file__).with_name("examples")
# The first line of an example says how it is called: -- matrix DATASET [metric=cknna]
USAGE = re.compile(r"^-- (\w+)((?: [A-Z_]+)*)((?: \[\w+=.*?\])*)$")
EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(EXIT_ERROR)


class Example:
    """A file of SQL in examples/, called by its name; its words become SQL variables."""

    def __init__(self, file: Path) -> None:
        self.text = file.read_text(encoding="utf-8")
        first, second = self.text.splitlines()[:2]
        usage = USAGE.match(first)
        if usage is None:
            raise ValueError(f"{file}: the first line is {first!r}, expected '-- {file.stem} WORD … [option=…] …'")
        self.usage = first.removeprefix("-- ")
        self.about = second.removeprefix("-- ")
        self.words = usage[2].lower().split()
        self.options = re.findall(r"\[(\w+)=", usage[3])

    def variables(self, given: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The SQL variables that these words of the command line set. Raises ValueError on wrong ones."""
        plain = [word for word in given if "=" not in word]
        named = [word.split("=", 1) for word in given if "=" in word]
        if len(plain) != len(self.words):
            raise ValueError(f"usage: python -m query {self.usage}")
        for name, _ in named:
            if name not in self.options:
                raise ValueError(f"no option '{name}'{nearest_name(name, self.options)}; usage: {self.usage}")
        yield from zip(self.words, plain, strict=True)
        yield from ((name, value) for name, value in named)


def examples() -> dict[str, Example]:
    return {file.stem: Example(file) for file in sorted(EXAMPLES.glob("*.sql"))}


def make_parser(known: dict[str, Example]) -> Parser:
    lines = [f"  python -m query {example.usage}\n      {example.about}" for example in known.values()]
    parser = Parser(
        prog="python -m query",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n  python -m query "FROM models"\n  python -m query shell\n' + "\n".join(lines),
    )
    parser.add_argument("sql", nargs="?", help="SQL; - reads standard input; shell opens a prompt; or see below")
    parser.add_argument("words", nargs="*", help="an example's arguments")
    parser.add_argument("--store", default=default_store(), help="default: MATTERZOO_STORE, else ./matter.duckdb")
    parser.add_argument("--write", action="store_true", help="allow changes, such as inserting labels and scores")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="print CSV")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print a JSON array")
    form.add_argument("--parquet", metavar="OUT", help="write a Parquet file")
    return parser


def run(connection: duckdb.DuckDBPyConnection, sql: str, options: argparse.Namespace) -> None:
    """Run the statements; the last one's result goes where the options say."""
    relation = connection.sql(sql)
    if relation is None:
        return
    if options.parquet is not None:
        relation.write_parquet(options.parquet)
    elif options.form is not None:
        write(relation, options.form)
    else:
        show(relation)


def answer(options: argparse.Namespace, known: dict[str, Example]) -> None:
    example = known.get(options.sql)
    variables = [] if example is None else list(example.variables(options.words))
    if options.words and example is None:
        hint = nearest_name(options.sql, [*known, "shell"])
        raise ValueError(f"'{options.sql}' takes no further arguments{hint or '; put the SQL in quotes'}")
    with connect(options.store, read_only=not options.write) as connection:
        # DuckDB would print its bar to standard output, and it knows nothing of how far a metric is.
        connection.execute("SET enable_progress_bar = false")
        if options.sql == "shell":
            shell(connection)
            return
        for name, value in variables:
            connection.execute(f"SET VARIABLE {name} = ?", [value])
        text = sys.stdin.read() if options.sql == "-" else options.sql
        run(connection, text if example is None else example.text, options)


def main(arguments: Sequence[str] | None = None) -> int:
    known = examples()
    parser = make_parser(known)
    options = parser.parse_args(arguments)
    if options.sql is None:
        parser.error("what to ask is missing")
    try:
        with interruptible():
            answer(options, known)
    except (duckdb.Error, StoreError, ValueError) as error:
        print(sentence(error), file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
