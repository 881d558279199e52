"""What is written in a figure, and where."""

from __future__ import annotations

from itertools import combinations

from matplotlib.text import Text

from query.figures import Plot


def overlapping(plot: Plot) -> list[tuple[str, str]]:
    """Pairs of texts of which one hides a part of the other, and (text, 'edge') for one that leaves the figure."""
    plot.draw_without_rendering()
    texts = [text for text in plot.findobj(Text) if text.get_visible() and text.get_text().strip()]  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in texts]  # type: ignore[attr-defined]
    within = plot.bbox.padded(1)
    outside = [(text, "edge") for text, box in boxes if not (within.contains(*box.min) and within.contains(*box.max))]
    return outside + [(a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]


def written(plot: Plot) -> set[str]:
    return {text.get_text() for text in plot.findobj(Text) if text.get_visible()}  # type: ignore[attr-defined]
