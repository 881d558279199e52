"""The figures of a site's datasets."""

from __future__ import annotations

import duckdb

from query.site.drawn import draw_figure
from tests.query.figures.conftest import own, small_path  # noqa: F401


def test_a_predicted_color_is_called_one(own: duckdb.DuckDBPyConnection) -> None:  # noqa: F811
    for name, source in (("energy", "alpha-1"), ("band_gap", "lab")):
        own.execute(
            "INSERT INTO labels SELECT system_id, ?, row_number() OVER (), 'eV', ? FROM systems "
            "WHERE dataset = 'crystals'",
            [name, source],
        )
    figure = draw_figure(own, "system_map", "crystals")
    labels = [version["label"] for version in figure["versions"]]
    assert {"energy predicted by alpha-1", "band gap"} <= {*labels}
