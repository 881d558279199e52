"""What is written in a figure, and where."""

from __future__ import annotations

from itertools import combinations

from matplotlib.text import Text

from query.figures import Plot


def overlapping(plot: Plot) -> list[tuple[str, str]]:
    """Return pairs of texts that overlap, and (text, 'edge') for each that leaves the figure."""
    plot.draw_without_rendering()
    texts = _drawn(plot)
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-0.5))  # type: ignore[attr-defined]
        for text in texts
    ]
    within = plot.bbox.padded(1)
    outside = [
        (text, "edge")
        for text, box in boxes
        if not (within.contains(*box.min) and within.contains(*box.max))
    ]
    return outside + [
        (a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)
    ]


def written(plot: Plot) -> set[str]:
    return {text.get_text() for text in _drawn(plot)}


def _drawn(plot: Plot) -> list[Text]:
    """Return the texts that are drawn: labels of ticks outside of their axis are not."""
    hidden = {
        label
        for axes in plot.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    texts: list[Text] = plot.findobj(Text)  # type: ignore[assignment]
    return [
        text
        for text in texts
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]
