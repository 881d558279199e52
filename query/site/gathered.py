"""What a site shows of each dataset, found by one process or several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from query.processes.agenda import Outcome, Task
from query.processes.helpers import Helpers
from query.processes.running import run_tasks
from query.site.drawn import FIGURES, draw_figure, missing_figure
from query.site.results import list_parts, read_part
from zoo.errors import MatterzooError

Parts = dict[str, list[pa.Table]]  # by name, in the datasets' order
Figures = dict[str, list[dict[str, Any]]]  # by dataset, as `draw_figure` returns them


def gather(
    connection: duckdb.DuckDBPyConnection, datasets: Sequence[str], helpers: Helpers | None = None
) -> tuple[Parts, Figures]:
    """Read the tables and draw the figures of each dataset.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets, which the store has.
        helpers: Processes that take part.

    Returns:
        Tables and figures.

    Raises:
        MatterzooError: A process ended while it read a table.
    """
    parts = list_parts()
    found: dict[object, Any] = {}

    def then(task: Task, outcome: Outcome) -> list[Task]:
        found[task.place] = outcome.value
        if outcome.lost is not None:
            dataset, what = task.near, task.arguments[0]
            if what not in FIGURES:
                raise MatterzooError(
                    f"{what} of {dataset}: {outcome.lost}; with --processes 1 there are no others"
                )
            found[task.place] = missing_figure(what, outcome.lost)
        return []

    tasks = [
        Task((dataset, what), dataset, call, (what, dataset))
        for dataset in datasets
        for call, whats in ((read_part, [sql for _, sql in parts]), (draw_figure, FIGURES))
        for what in whats
    ]
    run_tasks(connection, tasks, then, helpers)
    tables: Parts = defaultdict(list)
    for name, sql in parts:
        tables[name] += [found[dataset, sql] for dataset in datasets]
    figures = {dataset: [found[dataset, name] for name in FIGURES] for dataset in datasets}
    return tables, figures
