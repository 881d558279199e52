"""What every figure is made of: Matplotlib, with one look, the statement behind it, and what to show under the mouse.

Readable in black and white and by the color-blind: kinds differ in marker and in color (Okabe and Ito's), values in
lightness (cividis). No figure needs pyplot or a display.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import duckdb
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from query.metrics import find_metric
from query.sql.output import sentence
from query.statements import Answer, ask

# Okabe and Ito, Color Universal Design (2008), in an order that also falls apart in lightness; yellow is too light.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h")
SEQUENTIAL = "cividis"
GRAY = "#6B6B6B"
LOOK: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": [
        "DejaVu Sans"
    ],  # Matplotlib brings it along, so that a figure is the same everywhere
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.08,  # inches; letters are a little wider in one format than in another
    "svg.fonttype": "path",
    "svg.hashsalt": "matterzoo",
}
DPI = 150
PASSES = 4  # until a layout with axes of fixed proportions changes by less than a pixel
LETTERS = 16  # of small print, an inch
P = ParamSpec("P")


class NothingToDraw(ValueError):
    """The store lacks what a figure needs; the message says what, and how to get it."""


@dataclass(frozen=True)
class Spot:
    """A place of a figure and what it says of itself. Fractions of the figure's width and height from top left."""

    left: float
    top: float
    width: float  # 0: a point
    height: float
    text: str


class Plot(Figure):
    """A Matplotlib figure that knows the statement behind it.

    answer: the SQL that was run, and its rows. title: what it shows, in a few words.
    """

    def __init__(self, answer: Answer, title: str, *, width: float, height: float) -> None:
        """width, height: inches."""
        super().__init__(figsize=(width, height), dpi=DPI, layout="constrained")
        self.suptitle(title, x=0.01, horizontalalignment="left", fontsize=11, fontweight="bold")
        self.answer = answer
        self.title = title
        self._said: dict[
            Axes, list[tuple[float, float, float, str]]
        ] = {}  # x, y, half a side, text

    def say_at(
        self, axes: Axes, xs: Iterable[Any], ys: Iterable[Any], texts: Iterable[str]
    ) -> None:
        """What points say under the mouse. xs, ys: in the units of the axes."""
        points = [(float(x), float(y), 0.0, text) for x, y, text in zip(xs, ys, texts, strict=True)]
        self._said.setdefault(axes, []).extend(points)

    def say_in(self, axes: Axes, texts: Sequence[Sequence[str]]) -> None:
        """What the cells of an image say under the mouse. texts: by row, then by column; cell (0, 0) is around 0, 0."""
        cells = [
            (float(x), float(y), 0.5, text)
            for y, row in enumerate(texts)
            for x, text in enumerate(row)
        ]
        self._said.setdefault(axes, []).extend(cells)

    def key(
        self, looks: Mapping[str, Kind], others: Sequence[Line2D] = (), title: str = "family"
    ) -> None:
        """The legend, right of all axes: a marker a kind, then handles that have a label of their own."""
        handles = [
            Line2D([], [], color=look.color, marker=look.marker, linestyle="", label=name)
            for name, look in looks.items()
        ]
        self.legend(
            handles=[*handles, *others], loc="outside right upper", title=title, alignment="left"
        )

    def note(self, text: str) -> None:
        """Small print below all axes: what is missing and why."""
        lines = textwrap.wrap(text, width=int(self.get_figwidth() * LETTERS))
        self.supxlabel("\n".join(lines), x=0.01, horizontalalignment="left", fontsize=7, color=GRAY)

    def spots(self) -> list[Spot]:
        """All that was said, where it is once the figure has its final layout."""
        self._settle()
        return [spot for axes, said in self._said.items() for spot in self._spots(axes, said)]

    def _spots(self, axes: Axes, said: Sequence[tuple[float, float, float, str]]) -> Iterator[Spot]:
        middles = np.array([(x, y) for x, y, _, _ in said])
        halves = np.array([half for _, _, half, _ in said])[:, None]
        whole = np.array([self.bbox.width, self.bbox.height])
        corners = [axes.transData.transform(middles + sign * halves) / whole for sign in (-1, 1)]
        low, high = np.minimum(*corners), np.maximum(*corners)
        places = np.column_stack([low[:, 0], 1 - high[:, 1], high - low]).tolist()
        for (left, top, width, height), (_, _, _, text) in zip(places, said, strict=True):
            yield Spot(left, top, width, height, text)

    def svg(self) -> str:
        return self._render("svg").decode()

    def png(self) -> bytes:
        return self._render("png")

    def _settle(self) -> None:
        """Lay it out, once and for all: every drawing would move things on a little, away from their spots."""
        if not isinstance(self.get_layout_engine(), ConstrainedLayoutEngine):
            return
        with rc_context(LOOK):
            for _ in range(PASSES):
                self.draw_without_rendering()
        self.set_layout_engine("none")

    def _render(self, form: str) -> bytes:
        self._settle()
        file = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        with rc_context(LOOK):
            self.savefig(file, format=form, dpi=DPI, metadata=metadata)
        return file.getvalue()

    def _repr_svg_(self) -> str:
        """How notebooks show it."""
        return self.svg()


def in_our_look(draw: Callable[P, Plot]) -> Callable[P, Plot]:
    """Around a function that makes a figure: Matplotlib takes its style when things are added."""

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Plot:
        with rc_context(LOOK):
            return draw(*arguments, **options)

    return drawn


@dataclass(frozen=True)
class Kind:
    """How things of one kind look."""

    color: str
    marker: str


OTHER = Kind(GRAY, "d")  # of no family of models or descriptors: a control, when asked for


def kinds(names: Iterable[str]) -> dict[str, Kind]:
    """A look for each name, the same for the same set of names: no two share color and marker, up to 96 of them."""
    found = sorted(set(names))
    size = len(COLORS)
    return {
        name: Kind(COLORS[i % size], MARKERS[(i % size + i // size) % len(MARKERS)])
        for i, name in enumerate(found)
    }


def families(connection: duckdb.DuckDBPyConnection, *datasets: str) -> dict[str, Kind]:
    """A look for each family that has models or descriptors on these datasets: the same in all figures of them."""
    asked = "SELECT family FROM models_on(?) WHERE kind IN ('model', 'descriptor')"
    return kinds(
        row[0] for dataset in datasets for row in connection.execute(asked, [dataset]).fetchall()
    )


def ask_unless(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    lacks: str | tuple[str, ...],
    mend: str = "",
    **values: Any,
) -> Answer:
    """What a statement gives. Raises NothingToDraw where its complaint begins with one of `lacks`, and adds `mend`."""
    try:
        return ask(connection, name, **values)
    except duckdb.InvalidInputException as error:
        why = sentence(error)
        if not why.startswith(lacks):
            raise
        raise NothingToDraw(why + mend) from error


def ask_for_tree(connection: duckdb.DuckDBPyConnection, name: str, **values: Any) -> Answer:
    """What a statement gives that needs the tree of models. Raises NothingToDraw where there is none."""
    mend = f": make ingest MODEL=… DATASET={values['dataset']}"
    return ask_unless(connection, name, "a tree needs two models", mend, **values)


def alike(metric: str) -> str:
    """Which values of a metric are those of models that are alike, as an axis says it."""
    return f"{'low' if find_metric(metric).lower_is_closer else 'high'} is alike"


def number(value: float | None, digits: int = 3) -> str:
    """A value as text under the mouse; what is undefined is said to be."""
    return "undefined" if value is None else f"{value:.{digits}g}"


def systems(rows: Iterable[Mapping[str, Any]]) -> str:
    """From how many systems, and with which k, the defined values of rows come: 'n = 284 to 288, k = 25'."""
    defined = [row for row in rows if row["value"] is not None]
    ns, ks = (sorted({row[name] for row in defined} - {None}) for name in ("n", "k"))
    found = [f"n = {' to '.join(map(str, dict.fromkeys((ns[0], ns[-1]))))}"] if ns else []
    return ", ".join(found + ([f"k = {' or '.join(map(str, ks))}"] if ks else []))
