"""What the page shows: sections of panels, and a panel's figure in all the versions that a reader can choose from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from query.figures import NothingToDraw, Plot
from query.figures.plot import Spot
from query.statements import Answer

UNSAFE = re.compile(r"[^\w.@=+-]+")


@dataclass(frozen=True)
class Version:
    """One of the ways to draw a figure.

    switches: what the reader chooses it by, 'metric' -> 'cka'. options: what the figure is called with.
    """

    switches: Mapping[str, str]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """A figure. versions: from the store and the datasets, the first is shown first; may raise NothingToDraw."""

    name: str
    draw: Callable[..., Plot]
    versions: Callable[[duckdb.DuckDBPyConnection, Sequence[str]], Sequence[Version]]


@dataclass(frozen=True)
class Section:
    """A question with its figures. reading: how to read them, and what they cannot tell."""

    name: str
    question: str
    reading: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Image:
    """A figure as it is on the page and in files. width, height: inches."""

    title: str
    width: float
    height: float
    svg: str
    png: bytes
    spots: list[Spot]
    answer: Answer


@dataclass(frozen=True)
class View:
    """A version that was drawn, or the reason why there is nothing to draw."""

    panel: str
    version: Version
    image: Image | None
    reason: str | None

    @property
    def name(self) -> str:
        """A file's name without its ending: heatmap-aflow-cka."""
        return UNSAFE.sub("_", "-".join([self.panel, *self.version.switches.values()]))


@dataclass(frozen=True)
class Drawn:
    """A section with the views of each of its panels."""

    section: Section
    panels: list[list[View]] = field(default_factory=list)

    def answers(self) -> Iterator[tuple[Version, Answer]]:
        """What was asked for the views that have something to show."""
        for views in self.panels:
            for view in views:
                if view.image is not None:
                    yield view.version, view.image.answer


def draw(connection: duckdb.DuckDBPyConnection, section: Section, datasets: Sequence[str]) -> Drawn:
    """All versions of all figures of a section."""
    return Drawn(section, [_draw_panel(connection, panel, datasets) for panel in section.panels])


def _draw_panel(connection: duckdb.DuckDBPyConnection, panel: Panel, datasets: Sequence[str]) -> list[View]:
    try:
        versions = panel.versions(connection, datasets)
    except NothingToDraw as nothing:
        return [View(panel.name, Version({}, {}), None, str(nothing))]
    views = []
    for version in versions:
        try:
            views.append(View(panel.name, version, _render(panel.draw(connection, **version.options)), None))
        except NothingToDraw as nothing:
            views.append(View(panel.name, version, None, str(nothing)))
    return views


def _render(plot: Plot) -> Image:
    width, height = plot.get_size_inches().tolist()
    spots = plot.spots()
    return Image(plot.title, width, height, plot.svg(), plot.png(), spots, plot.answer)
