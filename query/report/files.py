"""The report's folder: the page, and beside it every figure and table with its data and its SQL."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import duckdb

from query.report.page import MARK, Table
from query.report.views import View
from query.statements import Answer

PAGE = "index.html"
LINK = re.compile(r'href="(figures/[\w.@=+-]+)"')


def check_folder(folder: Path) -> None:
    """Raises ValueError where a report would overwrite what is no report, or cannot be written; makes the folder."""
    page = folder / PAGE
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"{folder} is a file; a report needs a folder of its own: give another OUT"
        )
    if page.exists() and MARK not in page.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"{page} is no page of ours and is left as it is: give another OUT")
    try:  # now, not after the minutes that the figures take
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-"):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error.strerror}): give another OUT"
        ) from error


def put(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    html: str,
    views: Iterable[View],
    tables: Iterable[Table],
) -> None:
    """Write all files, each by rename, the page last; then remove what only an earlier page of ours has."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / PAGE
    before = set(LINK.findall(page.read_text(encoding="utf-8"))) if page.exists() else set()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as scratch:
        made = Path(scratch)
        (made / "figures").mkdir()
        (folder / "figures").mkdir(exist_ok=True)
        for view in views:
            _put_view(made / "figures", view, connection)
        for table in tables:
            _put_answer(made / "figures", table.name, table.answer, connection)
        (made / PAGE).write_text(html, encoding="utf-8")
        now = [
            file.relative_to(made) for file in [*sorted((made / "figures").iterdir()), made / PAGE]
        ]
        for file in now:
            (made / file).replace(folder / file)
    for stale in before - {file.as_posix() for file in now}:
        (folder / stale).unlink(missing_ok=True)


def _put_view(folder: Path, view: View, connection: duckdb.DuckDBPyConnection) -> None:
    if view.image is not None:
        (folder / f"{view.name}.svg").write_text(view.image.svg, encoding="utf-8")
        (folder / f"{view.name}.png").write_bytes(view.image.png)
        _put_answer(folder, view.name, view.image.answer, connection)


def _put_answer(
    folder: Path, name: str, answer: Answer, connection: duckdb.DuckDBPyConnection
) -> None:
    (folder / f"{name}.sql").write_text(answer.sql, encoding="utf-8")
    connection.from_arrow(answer.table).write_csv(str(folder / f"{name}.csv"))
