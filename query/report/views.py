"""What the page shows: sections of panels, and a panel's figure in all the versions that a reader can choose from."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import duckdb

from query.figures import NothingToDraw, Plot
from query.figures.drawing.plot import Tooltip
from query.sql.output import sentence
from query.statements import Answer

Made = TypeVar("Made")
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
    tooltips: list[Tooltip]
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
        """A file's name without its ending: alignment_matrix-aflow-cka."""
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


def _draw_panel(
    connection: duckdb.DuckDBPyConnection, panel: Panel, datasets: Sequence[str]
) -> list[View]:
    found = _or_reason(panel.name, lambda: panel.versions(connection, datasets))
    if isinstance(found, str):
        return [View(panel.name, Version({}, {}), None, found)]
    views = []
    for version in found:
        image = _or_reason(panel.name, lambda: _render(panel.draw(connection, **version.options)))  # noqa: B023
        views.append(
            View(panel.name, version, None, image)
            if isinstance(image, str)
            else View(panel.name, version, image, None)
        )
    return views


def _or_reason(name: str, act: Callable[[], Made]) -> Made | str:
    """Return what act() makes, or why there is nothing: a figure's fault costs this figure, not the page."""
    try:
        return act()
    except NothingToDraw as nothing:
        return str(nothing)
    except duckdb.InterruptException:
        raise
    except Exception as error:
        ours = isinstance(error, duckdb.Error | ValueError)
        reason = (
            f"this figure failed: {sentence(error) if ours else f'{type(error).__name__}: {error}'}"
        )
        print(f"  {name}: {reason}", file=sys.stderr, flush=True)
        return reason


def _render(plot: Plot) -> Image:
    width, height = plot.get_size_inches().tolist()
    tooltips = plot.tooltips()
    return Image(plot.title, width, height, plot.svg(), plot.png(), tooltips, plot.answer)
