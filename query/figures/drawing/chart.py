"""Altair charts with the statement behind them: data, tooltips, a model to pick out, a title."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import altair as alt

from query.figures.drawing.labels import natural_order
from query.figures.drawing.questions import Row
from query.figures.drawing.theme import make_config
from query.statements import Answer

_LETTERS = 110  # per line of small print
_DIGITS = 5  # significant ones of what is drawn: far below a pixel
FADED = 0.1  # opacity of what a reader did not pick
_PICKED = "model"  # the parameter that holds the model a reader picked, "" for none


@dataclass(frozen=True)
class _Made:
    """A part of a specification as it will be written, which Altair neither copies nor looks into.

    It copies and looks into lists, dictionaries and objects of its own, a dozen times each on the
    way to a figure.
    """

    part: Any
    _schema: ClassVar[dict[str, Any]] = {}  # by which Altair knows what has a `to_dict`

    def to_dict(self) -> Any:
        return self.part


def inline(rows: Iterable[Row], columns: Sequence[str]) -> dict[str, Any]:
    """Return columns of rows as the data of a chart.

    Args:
        rows: Rows of an answer.
        columns: The columns that the chart draws, or shows in tooltips.

    Returns:
        The data, floats with five significant digits; what is NULL or NaN is left out, which
        tooltips show as "undefined".
    """
    # Altair would validate each row of its InlineData, and copy a list with each method of a chart.
    return {
        "values": tuple(
            {name: _short(row[name]) for name in columns if _is_known(row[name])} for row in rows
        )
    }


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def tooltips(titles: Mapping[str, str]) -> list[alt.Tooltip]:
    """Return what is shown for the mark under the cursor.

    Args:
        titles: By column, what its value is called there, in words.
    """
    return [
        alt.Tooltip(field=column, type="nominal", title=title) for column, title in titles.items()
    ]


def picked(*columns: str) -> str:
    """Return the condition that a mark is of the model a reader picked, or that none is picked.

    Args:
        columns: The columns that hold names of models.

    Returns:
        An expression of Vega, for `fade_unless`.
    """
    tests = [f"datum['{column}'] === {_PICKED}" for column in columns]
    return " || ".join([f"{_PICKED} === ''", *tests])


def fade_unless(*conditions: alt.Parameter | str, opacity: float = 1.0) -> alt.OpacityValue:
    """Return an opacity that is low unless all conditions hold.

    Args:
        *conditions: Selections, or expressions of Vega such as `picked` makes.
        opacity: The opacity if they hold.

    Returns:
        A value for the channel "opacity".
    """
    tests = [test if isinstance(test, str) else {"param": test.name} for test in conditions]
    return alt.OpacityValue(FADED, condition={"test": {"and": tests}, "value": opacity})


def zoom(layer: alt.Chart, place: int = 0) -> alt.Chart:
    """Let a reader move and zoom a panel: drag, and turn the wheel with Shift.

    The wheel alone scrolls the page. A double click shows everything again.

    Args:
        layer: A layer of the panel that has both axes. All selections of a panel belong to one
            layer, as Altair gives each of them to all layers that have one.
        place: The panel's number in the figure.

    Returns:
        The layer, with a name of its own, as Altair takes layers with the same data for one.
    """
    interval = alt.selection_interval(
        name=f"zoom_{place}",
        bind="scales",
        zoom="wheel![event.shiftKey]",
        translate="[mousedown, window:mouseup] > window:mousemove!",
    )
    return layer.properties(name=f"panel_{place}").add_params(interval)


def layered(*charts: alt.Chart | alt.LayerChart, **properties: Any) -> alt.LayerChart:
    """Put charts over each other in one panel.

    Altair would copy each layer a dozen times on the way to a figure, with the hundreds of
    properties that nobody set. So those that were set are taken out first.

    Args:
        *charts: The layers, the lowest first.
        **properties: Those of the panel, such as its width and its height.

    Returns:
        The panel.
    """
    return alt.LayerChart(layer=[_without_unset(chart) for chart in charts], **properties)


def _without_unset(chart: Any) -> Any:
    """Return a chart whose mark and encoding hold nothing but what was set."""
    if isinstance(chart, alt.Chart):
        chart = chart.copy(deep=False)
        channels = chart.encoding.to_dict(validate=False)
        chart.encoding = alt.FacetedEncoding(**{key: _Made(channels[key]) for key in channels})
        if not isinstance(chart.mark, str):
            chart.mark = _Made(chart.mark.to_dict(validate=False))
    return chart


def finish(
    chart: Any,
    answer: Answer,
    title: str,
    *,
    notes: Iterable[str] = (),
    models: Iterable[str] = (),
    capital: bool = True,
) -> Any:
    """Give a chart its title, its look, and the statement behind it.

    Args:
        chart: What was drawn; it is changed.
        answer: The answer it draws: the attribute `answer` of the chart that is returned.
        title: What it shows, in a few words.
        notes: Small print, a sentence each: what is not drawn, what marks mean.
        models: Names to pick one from, where marks have a condition made by `picked`.
        capital: Whether the title begins with a capital letter; not if it begins with a name.

    Returns:
        The chart, complete. Its "usermeta" has the statement and its SQL, also in files.
    """
    notes = list(notes)
    lines = [line for note in notes for line in textwrap.wrap(note, _LETTERS)]
    title = title[0].upper() + title[1:] if capital else title
    names = sorted(set(models), key=natural_order)
    if names:
        options: Any = ["", *names]
        labels = ["all models", *names]
        bind = alt.binding_select(options=options, labels=labels, name="Pick out ")
        before = [] if chart.params is alt.Undefined else chart.params
        chart.params = [*before, alt.param(_PICKED, value="", bind=bind).param]
    # Altair's methods for these copy the chart, with all that is below.
    chart.title = {"text": title, **({"subtitle": lines} if lines else {})}
    chart.usermeta = {"statement": answer.name, "sql": answer.sql, "title": title, "notes": notes}
    chart.config = make_config()
    # Not by plain assignment, which would put the answer into the specification.
    object.__setattr__(chart, "answer", answer)
    return chart
