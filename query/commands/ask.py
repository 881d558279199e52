"""Handlers of the commands that ask a store: query, shell, report, site, serve."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from query import connect, register
from query.engine.suggestions import nearest_name
from query.processes.helpers import Helpers
from query.sql.interrupt import interruptible
from query.sql.output import FORMATS, check_writable, error_sentence, show, write
from query.sql.splitting import split_statements
from schemas.paths import default_store, write_for_group
from zoo.command_line import call, split_names
from zoo.errors import MatterzooError

if TYPE_CHECKING:
    from query.site import Sources
    from query.statements import Statement


def open_shell(options: argparse.Namespace) -> int:
    """Open the prompt.

    Args:
        options: Store, write.

    Returns:
        The exit code.
    """
    from query.shell.prompt import shell

    with one_sentence(options.store), _connected(options, functions=True) as connection:
        shell(connection)
    return 0


def write_report(options: argparse.Namespace) -> int:
    """Write the page, and print where it is.

    Args:
        options: Dataset, out, processes, store.

    Returns:
        The exit code.
    """
    with Helpers(options.processes, ["query.report"]) as helpers:
        from query.report import report

        with one_sentence(options.store), connect(options.store) as connection:
            connection.execute("SET enable_progress_bar = false")
            datasets = split_names(options.dataset)
            print(report(connection, datasets, Path(options.out), helpers=helpers))
    return 0


def write_site(options: argparse.Namespace) -> int:
    """Write the site, and print where it begins.

    Args:
        options: Dataset, out, title, no_prompt, processes, sources, store.

    Returns:
        The exit code.
    """
    with Helpers(options.processes, ["query.site"]) as helpers:
        from query.site import site

        given = {} if options.title is None else {"title": options.title}
        given["sources"] = None if options.no_prompt else _prompt_sources(options)
        with one_sentence(options.store), connect(options.store) as connection:
            connection.execute("SET enable_progress_bar = false")
            datasets = split_names(options.dataset)
            print(site(connection, datasets, Path(options.out), helpers=helpers, **given))
    return 0


def _prompt_sources(options: argparse.Namespace) -> Sources | None:
    """Return what the prompt is made from; without a network a site has none."""
    from query.site import Sources

    try:
        return Sources.read(*call(options.sources, options))
    except MatterzooError as error:
        print(f"the site gets no SQL prompt: {error}", file=sys.stderr)
        return None


def serve(options: argparse.Namespace) -> int:
    """Serve the store until Ctrl-C.

    Args:
        options: Store, address, port, readers, seconds, rows, pages.

    Returns:
        The exit code.
    """
    from query.serve.limits import Limits
    from query.serve.server import serve as serve_store

    store = Path(options.store or default_store())
    with connect(store, functions=False):  # what is wrong with it is said before anyone asks
        limits = Limits(seconds=options.seconds, rows=options.rows)
    pages = None if options.pages is None else Path(options.pages)
    serve_store(store, options.address, options.port, options.readers, limits, pages)
    return 0


def answer(options: argparse.Namespace) -> int:
    """Run SQL, or a statement by its name, and show or write what comes back.

    Args:
        options: Sql, words, help, store, write, form, file, out.

    Returns:
        The exit code.

    Raises:
        MatterzooError: The words, the format or the file do not fit, or the SQL fails.
    """
    from query.statements import find_statements  # it loads pyarrow

    known = find_statements()
    if options.help or options.sql is None:
        return _explain(options, known)
    with one_sentence(options.store):
        text = _text(options, known)
        out = _form(options)[1]
        if out is not None:
            check_writable(out)
        # Most of the time of a small question would be the import of the functions.
        with _connected(options, functions="duckdb_functions" in text) as connection:
            _run(connection, text, options)
    return 0


@contextmanager
def one_sentence(store: str | Path | None) -> Iterator[None]:
    """Turn what a question may fail with into one sentence.

    Where users share the store's folder, what the question makes is the group's, too.

    Args:
        store: The store that is asked; None is the default.

    Yields:
        Nothing.

    Raises:
        MatterzooError: The question failed.
    """
    write_for_group(store)
    try:
        with interruptible():
            yield
            sys.stdout.flush()  # here, so that a disk that is full is met within this block
    except (duckdb.Error, ValueError) as error:
        raise MatterzooError(error_sentence(error)) from error
    except BrokenPipeError:
        raise
    except OSError as error:  # the file that --out names, or a disk that is full
        what = error.filename or "the result"
        raise MatterzooError(f"{what} cannot be written: {error.strerror}") from error


def _connected(options: argparse.Namespace, functions: bool) -> duckdb.DuckDBPyConnection:
    connection = connect(options.store, read_only=not options.write, functions=functions)
    # DuckDB would print its bar to standard output, and it does not know how far a metric is.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _explain(options: argparse.Namespace, known: dict[str, Statement]) -> int:
    """Print how one statement is called, or the whole help with all of them."""
    if options.sql in known:
        print(_usage(known[options.sql]))
        return 0
    if not options.help:
        options.parser.error("the SQL is missing, or the name of a statement")
    lines = [f"  {_usage(statement)}" for statement in known.values()]
    options.parser.epilog = "statements:\n" + "\n".join(lines)
    options.parser.print_help()
    return 0


def _usage(statement: Statement) -> str:
    return f"matterzoo query {statement.usage}\n      {statement.about}"


def _text(options: argparse.Namespace, known: dict[str, Statement]) -> str:
    """Return the SQL that is meant."""
    statement = known.get(options.sql)
    if statement is not None:
        return statement.sql(statement.given(options.words))
    if options.words:
        hint = nearest_name(options.sql, list(known)) or "; put the SQL in quotes"
        raise ValueError(f"'{options.sql}' takes no further arguments{hint}")
    return sys.stdin.read() if options.sql == "-" else str(options.sql)


def _form(options: argparse.Namespace) -> tuple[str | None, Path | None]:
    """Return the format, None for a table, and the file."""
    named = options.file or options.out
    out = Path(named) if named else None
    form = "parquet" if options.file else options.form
    if out is not None and form is None:
        form = out.suffix.removeprefix(".").lower()
        if form not in FORMATS:
            raise ValueError(
                f"{out} does not end in .csv, .json or .parquet; name the format with --format"
            )
    if form == "parquet" and out is None:
        raise ValueError("Parquet is not for a screen; name a file with --out")
    return form, out


def _run(connection: duckdb.DuckDBPyConnection, sql: str, options: argparse.Namespace) -> None:
    """Run the statements. Every result is shown as a table; a format and a file hold the last."""
    form, out = _form(options)
    relation = None
    for number, statement in enumerate(split_statements(sql), start=1):
        if relation is not None:
            left_out = f"the result of statement {number - 1} is left out"
            print(f"{left_out}: {form} holds one, the last", file=sys.stderr)
        relation = _ask(connection, statement)
        if form is None:
            show(relation)
            relation = None
    if relation is not None and form is not None:
        write(relation, form, out)


def _ask(connection: duckdb.DuckDBPyConnection, statement: str) -> duckdb.DuckDBPyRelation | None:
    """Run a statement, with our functions if it turns out to need a function that DuckDB lacks."""
    try:
        return connection.sql(statement)
    except duckdb.CatalogException as error:
        if "Function with name" not in str(error):
            raise
    return register(connection).sql(statement)
