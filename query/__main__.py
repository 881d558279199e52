"""python -m query: ask a store in SQL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

import duckdb

from query import connect, default_store
from query.interrupt import interruptible
from query.output import sentence, show, write
from query.shell import shell
from query.statements import Statement, find_statements
from query.vectors import nearest_name
from schemas.store import StoreError

EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(EXIT_ERROR)


def make_parser(known: dict[str, Statement]) -> Parser:
    lines = [f"  python -m query {statement.usage}\n      {statement.about}" for statement in known.values()]
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


def answer(options: argparse.Namespace, known: dict[str, Statement]) -> None:
    statement = known.get(options.sql)
    if options.words and statement is None:
        hint = nearest_name(options.sql, [*known, "shell"])
        raise ValueError(f"'{options.sql}' takes no further arguments{hint or '; put the SQL in quotes'}")
    if statement is not None:
        text = statement.sql(statement.given(options.words))
    else:
        text = sys.stdin.read() if options.sql == "-" else options.sql
    with connect(options.store, read_only=not options.write) as connection:
        # DuckDB would print its bar to standard output, and it knows nothing of how far a metric is.
        connection.execute("SET enable_progress_bar = false")
        if options.sql == "shell":
            shell(connection)
        else:
            run(connection, text, options)


def main(arguments: Sequence[str] | None = None) -> int:
    known = find_statements()
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
