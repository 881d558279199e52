"""Show what SQL returns: a boxed table, CSV, JSON, Parquet, or one clear sentence."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

from query.sql.literals import literal

# What DuckDB puts around a sentence of ours, or around an exception and the ValueError that our
# sentences come in.
_WRAPPER = re.compile(
    r"^Invalid Input Error: "
    r"(?:Python exception occurred while executing the UDF: (?:ValueError: )?)?"
    r"(.*?)(?:\n+At:\n.*)?$",
    re.DOTALL,
)
_UNLIMITED = 100_000  # characters; a result that goes to a file or a pipe fits no screen
_SHOWN_ROWS = 100  # of a table; more scroll past what can be read
FORMATS = {
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json, ARRAY true",
    "parquet": "FORMAT parquet",
}


def error_sentence(error: Exception) -> str:
    """Return an error as a user should read it.

    Args:
        error: A message of ours loses DuckDB's wrapping and the traceback; DuckDB's own stays.
    """
    text = str(error).strip()
    ours = _WRAPPER.match(text)
    return ours[1].strip() if ours else text


def show(relation: duckdb.DuckDBPyRelation | None) -> None:
    """Print a result as a boxed table, as wide as the terminal, and a plan of EXPLAIN as text.

    Args:
        relation: The result; None prints nothing.
    """
    if relation is None:
        return
    if relation.columns == ["explain_key", "explain_value"]:
        for _, plan in relation.fetchall():
            print(plan)
    elif sys.stdout.isatty():
        relation.show(max_width=shutil.get_terminal_size().columns, max_rows=_SHOWN_ROWS)
    else:
        relation.show(max_width=_UNLIMITED, max_col_width=_UNLIMITED, max_rows=_SHOWN_ROWS)


def show_long(relation: duckdb.DuckDBPyRelation | None) -> None:
    """Print a result with one line per column of each row.

    Args:
        relation: The result; None prints nothing.
    """
    if relation is None:
        return
    width = max(map(len, relation.columns))
    rows = relation.fetchmany(_SHOWN_ROWS)
    for number, row in enumerate(rows, start=1):
        print(f"row {number}")
        for name, value in zip(relation.columns, row, strict=True):
            print(f"  {name:{width}}  {'NULL' if value is None else value}")
    if relation.fetchone() is not None:
        print(f"and more rows; LIMIT and OFFSET show others than the first {_SHOWN_ROWS}")


def check_writable(out: Path) -> None:
    """Check that a file can be written, before a question that may take hours.

    Args:
        out: The file.

    Raises:
        ValueError: If it cannot; the message says what to do.
    """
    folder = out.parent
    if not folder.is_dir():
        raise ValueError(
            f"{out} cannot be written: there is no folder {folder}; "
            "make it, or name another with --out"
        )
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name a file with --out")
    if not os.access(folder, os.W_OK | os.X_OK):  # false for a file system that is read-only, too
        raise ValueError(
            f"{out} cannot be written: {folder} is read-only here; name another folder with --out"
        )


def write(relation: duckdb.DuckDBPyRelation, form: str, out: Path | None = None) -> None:
    """Write all rows, to a file whole or not at all.

    Args:
        relation: The result.
        form: One of FORMATS: CSV with a header, a JSON array of objects, or Parquet.
        out: The file; None is standard output.
    """
    with tempfile.TemporaryDirectory(dir=out.parent if out else None, prefix=".result-") as folder:
        file = Path(folder) / "result"
        # DuckDB takes no parameter for the name of the file here.
        relation.query("result", f"COPY (FROM result) TO {literal(str(file))} ({FORMATS[form]})")
        if out is not None:
            file.replace(out)
            return
        with file.open(encoding="utf-8") as lines:
            shutil.copyfileobj(lines, sys.stdout)
