"""The report: the figures of a store, with how to read them, as one page that opens anywhere.

    report(query.connect("matter.duckdb"), ["aflow", "g2"], Path("report"))

`sections` has the questions and their figures, `versions` what a reader can choose. `views` draws
one, `drawing` all of them, by several processes. `findings` writes sentences about them, `page`
makes the HTML, `files` writes the folder.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import duckdb

from query.figures.drawing.model_kinds import count_kinds, note_networks
from query.processes.helpers import Helpers
from query.reading.selection import find_dataset
from query.report.drawing import draw_sections
from query.report.files import PAGE, check_folder, write_report
from query.report.findings import failed_controls, find_sentences
from query.report.page import Page, Table, render_page
from query.report.sections import SECTIONS
from query.report.views import DrawnSection, Section
from query.statements import ask
from query.structures import MOST, draw_structures
from zoo.terminal import log

__all__ = ["SECTIONS", "report"]

# The tables at the end of the page: the name of each statement, and its title.
_PROVENANCE = {
    "provenance_datasets": "Datasets",
    "provenance_models": "Models",
    "provenance_runs": "Runs, and those that failed",
    "provenance_failures": "Systems without a vector, by reason",
}
# The packages that the numbers of the page depend on.
_PACKAGES = ("matterzoo", "duckdb", "torch", "numpy", "scipy", "altair")


def report(
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
    folder: Path,
    sections: Sequence[Section] = SECTIONS,
    helpers: Helpers | None = None,
) -> Path:
    """Write the report on some datasets. Progress is logged on standard error.

    Args:
        connection: A connection to a store, with our functions; it is only read.
        datasets: Names of datasets, the first of which the page shows first.
        folder: Where the report is written. It is made if it does not exist; files in it that
            are not of a report stay as they are.
        sections: What the page shows, in this order.
        helpers: Processes that draw, too, if the store is a file that is open to be read only;
            they end when all is drawn.

    Returns:
        The page, `folder/index.html`.

    Raises:
        ValueError: If the store does not know a dataset, or the folder cannot be written or has
            a page that is not a report's.
    """
    for dataset in datasets:
        find_dataset(connection, dataset)
    check_folder(folder)
    drawn = draw_sections(connection, sections, datasets, helpers)
    if helpers is not None:
        helpers.stop()
    with _timed("page"):
        answers = {name: ask(connection, name, datasets=datasets) for name in _PROVENANCE}
        tables = [Table(name, title, answers[name]) for name, title in _PROVENANCE.items()]
        page = _page(connection, datasets, drawn, tables)
        views = (view for section in drawn for view in section.views())
        write_report(connection, folder, render_page(page), views, tables)
    return folder / PAGE


@contextmanager
def _timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    log(f"{what}: {time.monotonic() - start:.1f} s")


def _page(
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
    drawn: Sequence[DrawnSection],
    tables: Sequence[Table],
) -> Page:
    return Page(
        title=f"How alike do models see {_and(datasets)}?",
        facts=_facts(connection, tables),
        warnings=failed_controls(drawn),
        findings=find_sentences(drawn),
        sections=drawn,
        tables=tables,
        structures=_structures(connection, drawn),
        versions=f"Computed with {', '.join(f'{name} {version(name)}' for name in _PACKAGES)}.",
    )


def _structures(
    connection: duckdb.DuckDBPyConnection, drawn: Sequence[DrawnSection]
) -> dict[str, str]:
    """Return drawings of the systems on maps, as many of each dataset."""
    systems: dict[str, dict[str, None]] = {}  # by dataset, in their order
    for section in drawn:
        for shown, answer in section.answers():
            if answer.name == "system_map":
                names = answer.table.column("system_id").to_pylist()
                systems.setdefault(shown.switches["dataset"], {}).update(dict.fromkeys(names))
    each = MOST // max(1, len(systems))
    return draw_structures(
        connection, [name for some in systems.values() for name in [*some][:each]]
    )


def _facts(connection: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> str:
    """Return the line below the title: how many systems and models, which store, when."""
    datasets, models = tables[0].answer.rows, tables[1].answer.rows
    systems = " · ".join(f"{row['dataset']}: {row['n_systems']:,} systems" for row in datasets)
    shown = count_kinds((row["kind"] for row in models), note_networks(models))
    path = connection.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    now = datetime.datetime.now(datetime.UTC)
    return f"{systems} · {shown} · {Path(path[0][0] or 'memory').name}, {now:%Y-%m-%d %H:%M} UTC"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
