"""Draw the sections of a page, by one process or several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb

from query.processes.agenda import Outcome, Task
from query.processes.helpers import Helpers
from query.processes.running import run_tasks
from query.report.views import (
    FAILED,
    DrawnSection,
    Panel,
    Section,
    Version,
    View,
    draw_version,
    find_versions,
)
from zoo.terminal import log

_NEAR = ("dataset", "dataset_a")  # options that say on what most of a figure is computed


def draw_sections(
    connection: duckdb.DuckDBPyConnection,
    sections: Sequence[Section],
    datasets: Sequence[str],
    helpers: Helpers | None = None,
) -> list[DrawnSection]:
    """Draw all versions of all figures, and log how long each section took.

    Args:
        connection: A connection to a store, with our functions.
        sections: What to draw. If others help, figures and versions are functions of modules.
        datasets: Names of datasets of the store.
        helpers: Processes that draw, too.

    Returns:
        The sections, in their order, with their views.
    """
    drawn = [_Drawn(section, datasets) for section in sections]
    tasks = [task for number, one in enumerate(drawn) for task in one.begin(number)]

    def then(task: Task, outcome: Outcome) -> list[Task]:
        assert isinstance(task.place, tuple)
        return list(drawn[task.place[0]].go_on(task, outcome))

    run_tasks(connection, tasks, then, helpers)
    return [one.result() for one in drawn]


@dataclass
class _Drawn:
    """A section that is being drawn.

    The place of a task is the number of the section and of the panel, and of the version if one
    is drawn.
    """

    section: Section
    datasets: Sequence[str]
    views: dict[tuple[int, int], View] = field(default_factory=dict)
    seconds: float = 0.0
    left: int = 0  # tasks

    def begin(self, number: int) -> Iterator[Task]:
        for place, panel in enumerate(self.section.panels):
            self.left += 1
            yield Task((number, place), "", find_versions, (panel, self.datasets))

    def go_on(self, task: Task, outcome: Outcome) -> Iterator[Task]:
        assert isinstance(task.place, tuple)
        number, place, *version = task.place
        panel = self.section.panels[place]
        self.seconds += outcome.seconds
        if version:
            self._keep(place, version[0], outcome.value or _lost(panel, task.arguments[1], outcome))
        elif isinstance(outcome.value, str) or outcome.lost is not None:
            nothing = Version({}, {})
            reason = outcome.value or f"{FAILED}: {outcome.lost}"
            self._keep(place, 0, View(panel.name, nothing, None, reason))
        else:
            self.left += len(outcome.value)
            for count, found in enumerate(outcome.value):
                yield _task((number, place, count), panel, found)
        self.left -= 1
        if self.left == 0:
            log(f"{self.section.name}: {self.seconds:.1f} s")

    def result(self) -> DrawnSection:
        """Return the section with its views in the order of its panels and their versions."""
        panels: list[list[View]] = [[] for _ in self.section.panels]
        for (place, _), view in sorted(self.views.items(), key=lambda item: item[0]):
            panels[place].append(view)
        return DrawnSection(self.section, panels)

    def _keep(self, place: int, version: int, view: View) -> None:
        self.views[place, version] = view
        if view.reason is not None and view.reason.startswith(FAILED):
            log(f"{view.panel}: {view.reason}")


def _lost(panel: Panel, version: Version, outcome: Outcome) -> View:
    return View(panel.name, version, None, f"{FAILED}: {outcome.lost}")


def _task(place: tuple[int, ...], panel: Panel, version: Version) -> Task:
    near = next((str(version.options[name]) for name in _NEAR if name in version.options), "")
    is_slow = version.options.get("method") == "umap"  # which takes seconds to import
    return Task(place, "umap" if is_slow else near, draw_version, (panel, version), is_slow)
