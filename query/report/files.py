"""The report's folder: the page, and beside it every figure and table with its data and SQL."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import duckdb

from query.report.page import GENERATOR, Table
from query.report.views import View
from query.statements import Answer

PAGE = "index.html"
_LINK = re.compile(r'href="(figures/[\w.@=+-]+)"')
_TEMPORARY = ".partial-"  # how folders begin that are removed at the end


def check_folder(folder: Path) -> None:
    """Check that a report can be written to a folder, and make the folder.

    This takes no time; the figures take minutes, after which it would be late to complain.

    Args:
        folder: The folder of the report.

    Raises:
        ValueError: If the folder is a file, if it cannot be written, or if it has an index.html
            that is not a report's.
    """
    page = folder / PAGE
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"{folder} is a file; a report needs a folder of its own: name another folder"
        )
    if page.exists() and GENERATOR not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"{page} is not a report and is left as it is: name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_TEMPORARY):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error.strerror}): name another folder"
        ) from error


def write_report(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    html: str,
    views: Iterable[View],
    tables: Iterable[Table],
) -> None:
    """Write all files of a report, and remove those that only an earlier report had.

    All files are written beside their places first. Then each is renamed, the page last, so that
    a full disk or a kill while writing leaves the earlier report as it was.

    Args:
        connection: A connection that writes the CSV files.
        folder: The folder of the report.
        html: The page.
        views: The figures; each that was drawn becomes JSON, CSV and SQL.
        tables: The tables; each becomes CSV and SQL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / PAGE
    before = set(_LINK.findall(page.read_text(encoding="utf-8"))) if page.exists() else set()
    with tempfile.TemporaryDirectory(dir=folder, prefix=_TEMPORARY) as scratch:
        made = Path(scratch)
        (made / "figures").mkdir()
        (folder / "figures").mkdir(exist_ok=True)
        for view in views:
            _write_view(made / "figures", view, connection)
        for table in tables:
            _write_answer(made / "figures", table.name, table.answer, connection)
        (made / PAGE).write_text(html, encoding="utf-8")
        now = [
            file.relative_to(made) for file in [*sorted((made / "figures").iterdir()), made / PAGE]
        ]
        for file in now:
            (made / file).replace(folder / file)
    for stale in before - {file.as_posix() for file in now}:
        (folder / stale).unlink(missing_ok=True)


def _write_view(folder: Path, view: View, connection: duckdb.DuckDBPyConnection) -> None:
    if view.image is not None:
        (folder / f"{view.name}.json").write_text(view.image.spec, encoding="utf-8")
        _write_answer(folder, view.name, view.image.answer, connection)


def _write_answer(
    folder: Path, name: str, answer: Answer, connection: duckdb.DuckDBPyConnection
) -> None:
    (folder / f"{name}.sql").write_text(answer.sql, encoding="utf-8")
    connection.from_arrow(answer.table).write_csv(str(folder / f"{name}.csv"))
