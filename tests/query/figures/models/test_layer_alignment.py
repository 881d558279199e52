"""The matrix of layers: cells are rows, the frame is around the best pair, no texts collide."""

from __future__ import annotations

import duckdb
import pytest
from matplotlib.patches import Rectangle

from query.figures import NothingToDraw, layer_alignment
from query.report.versions import per_layered_pair
from tests.query.figures.texts import overlapping, written

Connection = duckdb.DuckDBPyConnection


def test_cells_are_the_rows_and_the_best_is_framed(layers: Connection) -> None:
    plot = layer_alignment(layers, "crystals", model_a="deep", model_b="wide", k=5, permutations=19)
    axes = plot.axes[0]
    (image,) = axes.images
    lines = [label.get_text() for label in axes.get_yticklabels()]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    assert lines == [f"layer-{i}" for i in (3, 2, 1, 0)]
    assert columns == [f"layer-{i}" for i in range(3)]
    shown = image.get_array()
    assert shown is not None
    for row in plot.answer.rows:
        line, column = lines.index(row["layer_a"]), columns.index(row["layer_b"])
        assert shown[line, column] == pytest.approx(row["value"])
    (frame,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert (frame.get_x() + 0.5, frame.get_y() + 0.5) == (columns.index("layer-1"), 1)
    (note,) = (text for text in written(plot) if text.startswith("Framed"))
    assert note.replace("\n", " ").startswith("Framed: the best pair, layer-2 and layer-1, cknna")
    assert note.endswith("p = 0.05.")
    assert len(plot.tooltips()) == 12
    assert overlapping(plot) == []


def test_many_layers_have_room(layers: Connection) -> None:
    plot = layer_alignment(layers, "crystals", model_a="tall", model_b="wide", k=5, permutations=0)
    assert overlapping(plot) == []
    assert not any("by chance" in tip.text for tip in plot.tooltips())


def test_the_report_shows_each_pair_of_models_with_layers(layers: Connection) -> None:
    versions = per_layered_pair(layers, ["crystals", "molecules"])
    assert [version.switches["models"] for version in versions] == [
        "deep and tall",
        "deep and wide",
        "tall and wide",
        "deep and wide",
    ]
    assert versions[0].options == {"dataset": "crystals", "model_a": "deep", "model_b": "tall"}


def test_nothing_to_draw(layers: Connection) -> None:
    with pytest.raises(
        NothingToDraw, match="no two layers of deep and wide have a cknna: .*k = 70"
    ):
        layer_alignment(layers, "crystals", model_a="deep", model_b="wide", k=70)
