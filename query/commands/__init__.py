"""The commands that ask a store: query, shell, report."""

from __future__ import annotations

import argparse

from zoo.command_line import Commands, Parser, add_store, named

FORMATS = ("csv", "json", "parquet")


def add_commands(commands: Commands) -> None:
    """Add the commands of this package.

    Args:
        commands: The program's commands.
    """
    _add_query(commands)
    sub = commands.add("shell", "query.commands.ask:open_shell", "open a SQL prompt on the store")
    add_store(sub)
    _let_write(sub)
    what = "write the figures of datasets, with their data and SQL, as one page"
    sub = commands.add(
        "report",
        "query.commands.ask:write_report",
        what,
        description=REPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("dataset", type=named, help="names of datasets, separated by commas")
    sub.add_argument("out", nargs="?", default="report", help="the folder (default: report)")
    add_store(sub)


def _add_query(commands: Commands) -> None:
    sub = commands.add(
        "query",
        "query.commands.ask:answer",
        "run SQL, or one of the statements that come with the program, and print the result",
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("sql", nargs="?", help="SQL; - reads standard input; or a statement's name")
    sub.add_argument("words", nargs="*", help="the statement's arguments")
    about = "show this and the statements; after a statement's name, what it does"
    sub.add_argument("-h", "--help", action="store_true", help=about)
    add_store(sub)
    _let_write(sub)
    form = sub.add_mutually_exclusive_group()
    about = "print CSV or a JSON array, or write a Parquet file"
    form.add_argument("--format", dest="form", choices=FORMATS, help=about)
    for name in ("csv", "json"):
        about = f"--format {name}"
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=about)
    about = "--format parquet --out OUT"
    form.add_argument("--parquet", dest="file", metavar="OUT", type=named, help=about)
    about = "the file to write instead of printing; .csv, .json and .parquet name the format"
    sub.add_argument("--out", type=named, help=about)
    sub.set_defaults(parser=sub)


def _let_write(parser: Parser) -> None:
    about = "allow changes, such as inserting labels and scores"
    parser.add_argument("--write", action="store_true", help=about)


REPORT = """Write a page of figures on datasets, with their data and SQL, into the folder OUT.

OUT/index.html is one file: it opens from disk, holds all it shows, and fetches nothing.
OUT/figures/ has each figure as SVG and PNG, its rows as CSV, and the SQL that gave them, ready
to run. An earlier report in OUT is replaced; whatever else is there stays. Sections that the
store lacks something for say so. The store is only read."""
