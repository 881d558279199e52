"""The report: the figures of a store, with how to read them, as one page that opens anywhere.

report(query.connect("matter.duckdb"), ["aflow", "g2"], Path("report"))
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import duckdb

from query.reading.vectors import check_dataset
from query.report.files import PAGE, check_folder, put
from query.report.findings import controls_that_fail, findings
from query.report.page import Page, Table, render
from query.report.sections import SECTIONS
from query.report.views import Drawn, Section, View, draw
from query.statements import ask

__all__ = ["SECTIONS", "report"]

TABLES = {
    "provenance_datasets": "Datasets",
    "provenance_models": "Models",
    "provenance_runs": "Runs, and those that failed",
    "provenance_failures": "Systems without a vector, by reason",
}
PACKAGES = ("matterzoo", "duckdb", "torch", "numpy", "scipy", "matplotlib")


def report(
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
    folder: Path,
    sections: Sequence[Section] = SECTIONS,
) -> Path:
    """Write the report on these datasets; returns its page. What it is at is said on standard error.

    folder: made where it is not there; files in it that are not of a report stay as they are.
    Raises ValueError on a dataset that the store does not know, or a page that is not ours.
    """
    for dataset in datasets:
        check_dataset(connection, dataset)
    check_folder(folder)
    drawn: list[Drawn] = []
    for section in sections:
        with _said(section.name):
            drawn.append(draw(connection, section, datasets))
    with _said("page"):
        asked = {name: ask(connection, name, datasets=datasets) for name in TABLES}
        tables = [Table(name, title, asked[name]) for name, title in TABLES.items()]
        page = _page(connection, datasets, drawn, tables)
        put(connection, folder, render(page), _views(drawn), tables)
    return folder / PAGE


def _views(drawn: Sequence[Drawn]) -> Iterator[View]:
    for section in drawn:
        for views in section.panels:
            yield from views


@contextmanager
def _said(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"  {what}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def _page(
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
    drawn: Sequence[Drawn],
    tables: Sequence[Table],
) -> Page:
    return Page(
        title=f"How alike do models see {_and(datasets)}?",
        facts=_facts(connection, tables),
        warnings=controls_that_fail(drawn),
        says=findings(drawn),
        sections=drawn,
        tables=tables,
        versions="Computed with " + ", ".join(f"{name} {version(name)}" for name in PACKAGES) + ".",
    )


def _facts(connection: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> str:
    about, models = tables[0].answer.rows, tables[1].answer.rows
    systems = " · ".join(f"{row['dataset']}: {row['n_systems']:,} systems" for row in about)
    kinds = [row["kind"] for row in models]
    counts = [(kinds.count(kind), name) for kind, name in KINDS.items()]
    shown = ", ".join(
        f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts if count
    )
    path = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    now = datetime.datetime.now(datetime.UTC)
    return f"{systems} · {shown} · {Path(path[0][0] or 'memory').name}, {now:%Y-%m-%d %H:%M} UTC"


KINDS = {
    "model": "trained model",
    "descriptor": "descriptor",
    "twin": "untrained twin",
    "control": "control",
}


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
