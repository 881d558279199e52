"""What the page shows: sections of panels, and a panel's figure in all versions to choose from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import duckdb
from altair.utils.schemapi import debug_mode

from query.assets import pack
from query.figures import NothingToDraw
from query.sql.interrupt import was_interrupted
from query.sql.output import error_sentence
from query.statements import Answer

Made = TypeVar("Made")
_SHARED = ("title", "config", "usermeta", "$schema")  # of a page's figures
FAILED = "this figure failed"  # how the reason of a figure begins that has one to be told
_UNSAFE = re.compile(r"[^\w.@=+-]+")  # in a file's name


@dataclass(frozen=True)
class Version:
    """One way to draw a figure.

    Attributes:
        switches: What the reader chooses it by: "metric" is "cka".
        options: What the figure's function is called with.
    """

    switches: Mapping[str, str]
    options: Mapping[str, Any]


Versions = Callable[[duckdb.DuckDBPyConnection, Sequence[str]], Sequence[Version]]


@dataclass(frozen=True)
class Panel:
    """A figure with its versions.

    Attributes:
        name: The figure's name.
        draw: The figure's function.
        versions: What makes the versions from a connection and the names of datasets. The first
            is shown first. It raises NothingToDraw if there is none.
    """

    name: str
    draw: Callable[..., Any]
    versions: Versions


@dataclass(frozen=True)
class Section:
    """A question with its figures.

    Attributes:
        name: The name of its figure.
        question: The title.
        reading: How to read the figures, and what they cannot tell.
        panels: The figures.
    """

    name: str
    question: str
    reading: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Image:
    """A figure as it is on the page and in files.

    Attributes:
        title: What it shows, in a few words.
        notes: Small print, a sentence each.
        spec: The specification of Vega-Lite, whole, as JSON.
        packed: The specification without what the page shows itself, or what all figures share;
            see `assets.pack`.
        answer: The SQL that was run, and its rows.
    """

    title: str
    notes: Sequence[str]
    spec: str
    packed: str
    answer: Answer


@dataclass(frozen=True)
class View:
    """A version that was drawn, or the reason why there is nothing to draw.

    Attributes:
        panel: The name of the figure.
        version: The version.
        image: The figure; None if there is nothing to draw.
        reason: Why there is nothing to draw; None if there is a figure.
    """

    panel: str
    version: Version
    image: Image | None
    reason: str | None

    @property
    def name(self) -> str:
        """The name of its files without their endings, "alignment_matrix-aflow-cka"."""
        return _UNSAFE.sub("_", "-".join([self.panel, *self.version.switches.values()]))

    @property
    def alarming(self) -> bool:
        """Whether it shows a control that does not hold."""
        table = None if self.image is None else self.image.answer.table
        return (
            table is not None
            and "holds" in table.column_names
            and False in table.column("holds").to_pylist()
        )


@dataclass(frozen=True)
class DrawnSection:
    """A section with the views of each of its panels.

    Attributes:
        section: The section.
        panels: The views of each panel.
    """

    section: Section
    panels: list[list[View]] = field(default_factory=list)

    @property
    def lacking(self) -> str | None:
        """Why there is no figure, as of the first that there could be; None if there is one."""
        views = list(self.views())
        if not views or any(view.image is not None for view in views):
            return None
        return views[0].reason

    @property
    def unanswered(self) -> str | None:
        """Why the store cannot answer the question; None if there is a figure, or one failed."""
        lacking = self.lacking
        return None if lacking is None or lacking.startswith(FAILED) else lacking

    def views(self) -> Iterator[View]:
        """Yield the views of all panels."""
        for views in self.panels:
            yield from views

    def answers(self) -> Iterator[tuple[Version, Answer]]:
        """Yield the version and the answer of each view that has a figure."""
        for view in self.views():
            if view.image is not None:
                yield view.version, view.image.answer


def find_versions(
    connection: duckdb.DuckDBPyConnection, panel: Panel, datasets: Sequence[str]
) -> Sequence[Version] | str:
    """Return the versions of a figure, or a sentence on why there are none.

    Args:
        connection: A connection to a store, with our functions.
        panel: The figure.
        datasets: Names of datasets of the store.
    """
    return _or_reason(lambda: panel.versions(connection, datasets))


def draw_version(connection: duckdb.DuckDBPyConnection, panel: Panel, version: Version) -> View:
    """Draw a version of a figure.

    A figure that fails costs this figure, not the page: its view says why.

    Args:
        connection: A connection to a store, with our functions.
        panel: The figure.
        version: How it is drawn.
    """
    with debug_mode(False):  # or Altair would validate each part of a figure as it is made
        image = _or_reason(lambda: _render(panel.draw(connection, **version.options)))
    if isinstance(image, str):
        return View(panel.name, version, None, image)
    return View(panel.name, version, image, None)


def _or_reason(act: Callable[[], Made]) -> Made | str:
    """Return what `act` makes, or a sentence on why it makes nothing."""
    try:
        return act()
    except NothingToDraw as nothing:
        return str(nothing)
    except Exception as error:
        if isinstance(error, duckdb.InterruptException) or was_interrupted(error):
            raise
        expected = isinstance(error, duckdb.Error | ValueError)
        cause = error_sentence(error) if expected else f"{type(error).__name__}: {error}"
        return f"{FAILED}: {cause}"


def _render(chart: Any) -> Image:
    spec = chart.to_dict(validate=False)
    title, notes = spec["usermeta"]["title"], spec["usermeta"]["notes"]
    # On one line: Python writes indented lines 20 times as slowly.
    whole = json.dumps(spec, ensure_ascii=False)
    shown = {key: value for key, value in spec.items() if key not in _SHARED}
    shown["description"] = " ".join([f"{title}.", *notes])
    return Image(title, notes, whole, pack(shown), chart.answer)
