"""Run SQL and show what comes back: a boxed table, CSV, JSON, Parquet, or one clear sentence."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

# What DuckDB puts around a sentence of ours, or around an exception and the ValueError that our sentences come in.
WRAPPER = re.compile(
    r"^Invalid Input Error: (?:Python exception occurred while executing the UDF: (?:ValueError: )?)?"
    r"(.*?)(?:\n+At:\n.*)?$",
    re.DOTALL,
)
UNLIMITED = 100_000  # characters; a result that goes to a file or a pipe is not cut to fit a screen
SHOWN_ROWS = 100
FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY true",
    "parquet": "FORMAT parquet",
}


def sentence(error: Exception) -> str:
    """An error as a user should read it: ours without DuckDB's wrapping and the traceback, DuckDB's as it is."""
    text = str(error).strip()
    ours = WRAPPER.match(text)
    return ours[1].strip() if ours else text


def statements(text: str) -> Iterator[str]:
    """The statements of a text, without their semicolons; what is no SQL at all comes back as it is."""
    begin = 0
    for end in _semicolons(text):
        yield text[begin:end]
        begin = end + 1
    if duckdb.tokenize(text[begin:]):
        yield text[begin:]


def is_complete(text: str) -> bool:
    """Does the text end in a semicolon that ends a statement?"""
    ends = _semicolons(text)
    return bool(ends) and not duckdb.tokenize(text[ends[-1] + 1 :])


def show(relation: duckdb.DuckDBPyRelation | None) -> None:
    """Print a boxed table, as wide as the terminal; EXPLAIN's plan as text; nothing where there is no result."""
    if relation is None:
        return
    if relation.columns == ["explain_key", "explain_value"]:
        for _, plan in relation.fetchall():
            print(plan)
    elif sys.stdout.isatty():
        relation.show(max_width=shutil.get_terminal_size().columns, max_rows=SHOWN_ROWS)
    else:
        relation.show(max_width=UNLIMITED, max_col_width=UNLIMITED, max_rows=SHOWN_ROWS)


def show_long(relation: duckdb.DuckDBPyRelation | None) -> None:
    """Print each row as a line per column."""
    if relation is None:
        return
    width = max(map(len, relation.columns))
    rows = relation.fetchmany(SHOWN_ROWS)
    for number, row in enumerate(rows, start=1):
        print(f"row {number}")
        for name, value in zip(relation.columns, row, strict=True):
            print(f"  {name:{width}}  {'NULL' if value is None else value}")
    if relation.fetchone() is not None:
        print(f"and more rows; LIMIT and OFFSET show others than the first {SHOWN_ROWS}")


def check_place(out: Path) -> None:
    """Raise ValueError where no file can be written there, before a question that may take hours."""
    folder = out.parent
    if not folder.is_dir():
        raise ValueError(
            f"{out} cannot be written: there is no folder {folder}; make it, or name another with --out"
        )
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name a file with --out")
    if not os.access(folder, os.W_OK | os.X_OK):  # false for a file system that is read-only, too
        raise ValueError(
            f"{out} cannot be written: {folder} is read-only here; name another folder with --out"
        )


def write(relation: duckdb.DuckDBPyRelation, form: str, out: Path | None = None) -> None:
    """Write all rows to a file, or to standard output: CSV with a header, a JSON array of objects, or Parquet."""
    with tempfile.TemporaryDirectory(dir=out.parent if out else None, prefix=".result-") as folder:
        file = Path(folder) / "result"
        # DuckDB takes no parameter for the file's name here, and a quote in it would end the text.
        name = str(file).replace("'", "''")
        relation.query("result", f"COPY (FROM result) TO '{name}' ({FORMATS[form]})")
        if out is not None:
            file.replace(out)  # whole or not at all
            return
        with file.open(encoding="utf-8") as lines:
            shutil.copyfileobj(lines, sys.stdout)


def _semicolons(text: str) -> list[int]:
    """Where statements end: not in strings, names or comments. Offsets are those of the text's characters."""
    data = text.encode()
    places = [place for place, kind in duckdb.tokenize(text) if data[place : place + 1] == b";"]
    return [len(data[:place].decode()) for place in places]
