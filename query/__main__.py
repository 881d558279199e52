"""python -m query: ask a store in SQL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import duckdb

from query import connect, default_store
from query.engine.suggestions import did_you_mean
from query.shell.prompt import shell
from query.sql.interrupt import interruptible
from query.sql.output import FORMATS, check_place, sentence, show, statements, write
from query.statements import Statement, find_statements
from schemas.errors import StoreError
from schemas.interrupt import listen

EXIT_ERROR, EXIT_INTERRUPTED = 2, 130
BLANK = "\n\n"
REPORT = """report DATASET[,DATASET…] [OUT]
      Write a page of figures on datasets, with their data and SQL, into the folder OUT (default: report/).

      OUT/index.html is one file: it opens from disk, holds all it shows, and fetches nothing.
      OUT/figures/ has each figure as SVG and PNG, its rows as CSV, and the SQL that gave them, ready to run.
      An earlier report in OUT is replaced; whatever else is there stays. Sections that the store lacks something
      for say so. The store is only read."""


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(EXIT_ERROR)


def make_parser(known: dict[str, Statement]) -> Parser:
    lines = [f"  {said.split(BLANK)[0]}" for said in explained(known).values()]
    parser = Parser(
        prog="python -m query",
        description=__doc__,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='examples:\n  python -m query "FROM models"\n  python -m query shell\n'
        + "\n".join(lines),
    )
    parser.add_argument(
        "sql", nargs="?", help="SQL; - reads standard input; shell opens a prompt; or see below"
    )
    parser.add_argument(
        "-h",
        "--help",
        action="store_true",
        help="show this; after a word of those below, what it does",
    )
    parser.add_argument("words", nargs="*", help="an example's arguments")
    parser.add_argument(
        "--store", default=default_store(), help="default: MATTERZOO_STORE, else ./matter.duckdb"
    )
    parser.add_argument(
        "--write", action="store_true", help="allow changes, such as inserting labels and scores"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        dest="form",
        choices=FORMATS,
        help="print CSV or a JSON array, or write a Parquet file",
    )
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="--format csv")
    form.add_argument(
        "--json", dest="form", action="store_const", const="json", help="--format json"
    )
    form.add_argument("--parquet", dest="file", metavar="OUT", help="--format parquet --out OUT")
    parser.add_argument(
        "--out",
        help="the file to write instead of printing; .csv, .json and .parquet name the format",
    )
    return parser


def explained(known: dict[str, Statement]) -> dict[str, str]:
    """What each word does that is no SQL."""
    said = {
        name: f"{statement.usage}\n      {statement.about}" for name, statement in known.items()
    }
    return {name: f"python -m query {text}" for name, text in {**said, "report": REPORT}.items()}


def write_report(options: argparse.Namespace) -> None:
    """Write the page that `report DATASETS [OUT]` asks for, and print where it is."""
    if not 1 <= len(options.words) <= 2:
        raise ValueError("usage: python -m query report DATASET[,DATASET…] [OUT]")
    from query.report import (
        report,  # it loads what draws, which takes a second that no other question needs
    )

    datasets, folder = (
        options.words[0],
        Path(options.words[1] if len(options.words) == 2 else "report"),
    )
    with connect(options.store) as connection:
        connection.execute("SET enable_progress_bar = false")
        print(
            report(
                connection,
                list(dict.fromkeys(filter(None, map(str.strip, datasets.split(","))))),
                folder,
            )
        )


def form_of(options: argparse.Namespace) -> tuple[str | None, Path | None]:
    """Return the format, None for a table, and the file. Raises ValueError where one lacks the other."""
    named = options.file or options.out
    out = Path(named) if named else None
    form = "parquet" if options.file else options.form
    if out is not None and form is None:
        form = out.suffix.removeprefix(".").lower()
        if form not in FORMATS:
            raise ValueError(
                f"{out} does not end in .csv, .json or .parquet; say which with FORMAT= (--format)"
            )
    if form == "parquet" and out is None:
        raise ValueError("Parquet is not for a screen; name a file with OUT= (--out)")
    return form, out


def run(connection: duckdb.DuckDBPyConnection, sql: str, options: argparse.Namespace) -> None:
    """Run the statements. Every result is shown as a table; a format and a file hold the last one."""
    form, out = form_of(options)
    relation = None
    for number, statement in enumerate(statements(sql), start=1):
        if relation is not None:
            print(
                f"the result of statement {number - 1} is left out: {form} holds one, the last",
                file=sys.stderr,
            )
        relation = connection.sql(statement)
        if form is None:
            show(relation)
            relation = None
    if relation is not None and form is not None:
        write(relation, form, out)


def answer(options: argparse.Namespace, known: dict[str, Statement]) -> None:
    if options.sql == "report":
        write_report(options)
        return
    statement = known.get(options.sql)
    if options.words and statement is None:
        hint = did_you_mean(options.sql, [*known, "report", "shell"])
        raise ValueError(
            f"'{options.sql}' takes no further arguments{hint or '; put the SQL in quotes'}"
        )
    if statement is not None:
        text = statement.sql(statement.given(options.words))
    else:
        text = sys.stdin.read() if options.sql == "-" else options.sql
    out = form_of(options)[1]
    if out is not None:
        check_place(out)
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
    if options.sql is None and not options.help:
        parser.error("what to ask is missing")
    try:
        listen()
        if options.help:
            print(explained(known).get(options.sql) or parser.format_help())
        else:
            with interruptible():
                answer(options, known)
        sys.stdout.flush()  # within this block, so that a pipe that has ended is met here
    except (duckdb.Error, StoreError, ValueError) as error:
        print(sentence(error), file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `python -m query … | head`
        sys.stderr.close()
    except OSError as error:  # a file that OUT= names, or a disk that is full
        print(
            f"{error.filename or 'the result'} cannot be written: {error.strerror}", file=sys.stderr
        )
        return EXIT_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
