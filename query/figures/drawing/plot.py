"""A Matplotlib figure in one style, with the statement behind it and its tooltips.

No figure needs pyplot or a display.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from query.figures.drawing.looks import GRAY, Look
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import Answer

__all__ = ["NothingToDraw", "Plot", "Row", "Tooltip", "styled"]

_STYLE: Any = {
    "font.family": "sans-serif",
    # Matplotlib carries this font, so that a figure is the same everywhere.
    "font.sans-serif": ["DejaVu Sans"],
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
    # What a user has set would lay out again what is laid out.
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    # Inches; letters are a little wider in one format than in another.
    "figure.constrained_layout.w_pad": 0.08,
    "svg.fonttype": "path",
    "svg.hashsalt": "matterzoo",  # the same bytes for the same figure
}
_DPI = 150  # dots per inch, of PNG files and of what is rasterized
_PASSES = 4  # at most, for axes of fixed proportions, which move each other
_STILL = 0.5  # pixels that axes may move from a pass to the next in a layout that is done
_LETTERS = 16  # of small print, per inch
P = ParamSpec("P")


@dataclass(frozen=True)
class Tooltip:
    """A place in a figure and the text that is shown for it.

    Attributes:
        left: Distance from the left edge, as a fraction of the figure's width.
        top: Distance from the upper edge, as a fraction of the figure's height.
        width: As a fraction of the figure's width; 0 for a point.
        height: As a fraction of the figure's height; 0 for a point.
        text: What is shown, several lines.
    """

    left: float
    top: float
    width: float
    height: float
    text: str


class Plot(Figure):
    """A Matplotlib figure that knows the statement behind it.

    Attributes:
        answer: The SQL that was run, and its rows.
        title: What the figure shows, in a few words.
    """

    def __init__(self, answer: Answer, title: str, *, width: float, height: float) -> None:
        """Make an empty figure.

        Args:
            answer: The answer that is drawn.
            title: What the figure shows, in a few words.
            width: Inches.
            height: Inches.
        """
        super().__init__(figsize=(width, height), dpi=_DPI, layout="constrained")
        self.suptitle(title, x=0.01, horizontalalignment="left", fontsize=11, fontweight="bold")
        self.answer = answer
        self.title = title
        # By axes: x, y, half a side (0 for a point), text.
        self._texts: dict[Axes, list[tuple[float, float, float, str]]] = {}

    def add_tooltips(
        self, axes: Axes, xs: Iterable[Any], ys: Iterable[Any], texts: Iterable[str]
    ) -> None:
        """Give points their tooltips.

        Args:
            axes: The axes that the points are in.
            xs: Where the points are across, in the units of the axes.
            ys: Where the points are up, in the units of the axes.
            texts: The text of each point.
        """
        points = [(float(x), float(y), 0.0, text) for x, y, text in zip(xs, ys, texts, strict=True)]
        self._texts.setdefault(axes, []).extend(points)

    def add_cell_tooltips(self, axes: Axes, texts: Sequence[Sequence[str]]) -> None:
        """Give the cells of an image their tooltips.

        Args:
            axes: The axes that the image is in, with the middle of its first cell at (0, 0).
            texts: The text of each cell, by row, then by column.
        """
        cells = [
            (float(x), float(y), 0.5, text)
            for y, row in enumerate(texts)
            for x, text in enumerate(row)
        ]
        self._texts.setdefault(axes, []).extend(cells)

    def add_legend(
        self, looks: Mapping[str, Look], others: Sequence[Line2D] = (), title: str = "family"
    ) -> None:
        """Add the legend, right of all axes.

        Args:
            looks: The look of each kind.
            others: Further entries: lines that have a label of their own.
            title: What the kinds are.
        """
        handles = [
            Line2D([], [], color=look.color, marker=look.marker, linestyle="", label=name)
            for name, look in looks.items()
        ]
        self.legend(
            handles=[*handles, *others], loc="outside right upper", title=title, alignment="left"
        )

    def add_note(self, text: str) -> None:
        """Add small print below all axes.

        Args:
            text: For example what is missing, and why; lines are broken to the figure's width.
        """
        lines = textwrap.wrap(text, width=int(self.get_figwidth() * _LETTERS))
        self.supxlabel("\n".join(lines), x=0.01, horizontalalignment="left", fontsize=7, color=GRAY)

    def tooltips(self) -> list[Tooltip]:
        """Return all tooltips, where they are once the figure has its final layout."""
        self._fix_layout()
        return [tip for axes, texts in self._texts.items() for tip in self._placed(axes, texts)]

    def _placed(
        self, axes: Axes, texts: Sequence[tuple[float, float, float, str]]
    ) -> Iterator[Tooltip]:
        middles = np.array([(x, y) for x, y, _, _ in texts])
        halves = np.array([half for _, _, half, _ in texts])[:, None]
        whole = np.array([self.bbox.width, self.bbox.height])
        corners = [axes.transData.transform(middles + sign * halves) / whole for sign in (-1, 1)]
        low, high = np.minimum(*corners), np.maximum(*corners)
        places = np.column_stack([low[:, 0], 1 - high[:, 1], high - low]).tolist()
        for (left, top, width, height), (_, _, _, text) in zip(places, texts, strict=True):
            yield Tooltip(left, top, width, height, text)

    def svg(self) -> str:
        """Return the figure as an SVG document."""
        return self._render("svg").decode()

    def png(self) -> bytes:
        """Return the figure as a PNG image."""
        return self._render("png")

    def _fix_layout(self) -> None:
        """Lay the figure out once and for all.

        Every drawing would move things on a little, away from their tooltips, and take as long.
        """
        engine = self.get_layout_engine()
        if not isinstance(engine, ConstrainedLayoutEngine):
            return
        self._place_empty_texts()
        with rc_context(_STYLE):
            before = None
            for _ in range(_PASSES):
                engine.execute(self)
                corners = [axes.get_position(original=True).get_points() for axes in self.axes]
                after = np.array(corners) * self.bbox.size
                if before is not None and np.allclose(before, after, rtol=0, atol=_STILL):
                    break
                before = after
            self.set_layout_engine(None)
        for axes in self._texts:
            axes.apply_aspect()  # tooltips need it, and drawing alone would do it

    def _place_empty_texts(self) -> None:
        """Place labels of axes and titles that are empty.

        Matplotlib would measure all ticks again and again to find a place for them.
        """
        for axes in self.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if not axis.get_label_text():
                    axis.set_label_coords(0, 0)
            if not any(axes.get_title(side) for side in ("left", "center", "right")):
                axes.set_title("", y=1)

    def _render(self, form: str) -> bytes:
        self._fix_layout()
        file = io.BytesIO()
        # Neither a date nor a version in the file, so that the same figure is the same bytes.
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        with rc_context(_STYLE):
            self.savefig(file, format=form, dpi=_DPI, metadata=metadata)
        return file.getvalue()

    def _repr_svg_(self) -> str:
        """Return what a notebook shows."""
        return self.svg()


def styled(draw: Callable[P, Plot]) -> Callable[P, Plot]:
    """Let a function draw in the style of all figures.

    Args:
        draw: A function that makes a figure; Matplotlib takes its style when things are added.

    Returns:
        The function with the same arguments.
    """

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Plot:
        with rc_context(_STYLE):
            return draw(*arguments, **options)

    return drawn
