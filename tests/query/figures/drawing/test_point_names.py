"""Names at points stay inside of their panel, on a telephone, too, which shrinks it."""

from __future__ import annotations

from query.figures.drawing.guides import axis_of
from query.figures.drawing.names import write_names
from tests.query.figures.scene import layers

X, Y = axis_of("x", None, (0, 1)), axis_of("y", None, (0, 1), across=False)


def aligned(
    *points: tuple[float, float], name: str = "twenty letters, so so", edge: int = 0
) -> list[str]:
    """Return on which side each name stands that is written, in a panel of 300 px."""
    rows = [{"name": name, "x": x, "y": y} for x, y in points]
    (names,) = layers(write_names(rows, "name", X, Y, (300, 300), edge=edge))
    return [row["align"] for row in names.rows]


def test_a_name_stands_where_a_smaller_panel_has_room_for_it() -> None:
    """It is 122 px long, and has 8 px to its point."""
    assert aligned((0.3, 0.5)) == ["left"]
    # 135 px are right of the point, but 97 in a panel of 216 px.
    assert aligned((0.55, 0.5)) == ["center"]
    assert aligned((0.9, 0.5)) == ["right"]
    # No place is inside of both panels: it stands where there is room in the larger one.
    assert aligned((0.5, 0.5), name="twenty-four letters, so so so") == ["center"]
    assert aligned((0.05, 0.5), name="twenty-four letters, so so so, and more") == ["left"]
    assert aligned((0.5, 0.5), name="longer than the panel is wide " * 2) == []


def test_a_name_keeps_clear_of_words_at_the_edge() -> None:
    assert aligned((0.3, 0.97)) == ["left"]
    assert aligned((0.3, 0.97), edge=14) == ["center"]  # below the point
    assert aligned((0.3, 0.97), edge=34) == []
    assert aligned((0.3, 0.03), edge=34) == []
