"""The curves: which pairs are chosen, and that values agree with dense formulas."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, alignment_curve
from query.statements import ask
from tests.query.figures.conftest import SMALL, model_names
from tests.query.figures.restated import information_imbalance, mutual_knn, unit
from tests.query.figures.scene import layers, overlapping, written
from tests.vectors import put, remove

Connection = duckdb.DuckDBPyConnection
FAMILY = {**dict(model_names(SMALL)), "rings": "plain"}
BETWEEN = [(a, b) for a, b in combinations(FAMILY, 2) if FAMILY[a] != FAMILY[b]]


@pytest.fixture
def few(own: Connection) -> Connection:
    """A store without the descriptor of whole numbers, in which many neighbors are equally near."""
    remove(own, "model_id = 'counts'")
    return own


def test_without_names_the_highest_and_the_lowest_cross_family_pair_are_drawn(
    few: Connection,
) -> None:
    rows = ask(few, "alignment_curve", dataset="crystals", metric="mutual_knn", ks="5").rows
    by_value = sorted(BETWEEN, key=lambda pair: mutual_knn(unit(pair[0]), unit(pair[1])))
    chosen = {row["pair"]: (row["model_a"], row["model_b"]) for row in rows}
    assert chosen == {"lowest": by_value[0], "highest": by_value[-1]}


def test_with_one_name_its_cross_family_pairs_are_drawn(few: Connection) -> None:
    rows = ask(
        few,
        "alignment_curve",
        dataset="crystals",
        metric="information_imbalance",
        model_a="alpha-1",
        ks="1",
    ).rows
    others = sorted(
        (name for name in FAMILY if FAMILY[name] != "alpha"),
        key=lambda name: information_imbalance(unit("alpha-1"), unit(name)),
    )
    chosen = {row["pair"]: (row["model_a"], row["model_b"]) for row in rows}
    assert chosen == {"lowest": ("alpha-1", others[0]), "highest": ("alpha-1", others[-1])}


def test_values_at_all_systems_and_chance(small: Connection) -> None:
    asked = {"metric": "mutual_knn", "model_a": "alpha-0", "model_b": "alpha-1", "ks": "2,5,20"}
    rows = ask(small, "alignment_curve", dataset="crystals", **asked).rows
    whole = {row["k"]: row for row in rows if row["n"] == 60}
    assert {row["pair"] for row in rows} == {"asked for"}
    assert sorted(whole) == [2, 5, 20, 25]
    for k, row in whole.items():
        assert row["value"] == pytest.approx(mutual_knn(unit("alpha-0"), unit("alpha-1"), k))
        assert row["chance"] == pytest.approx(k / 59, abs=0.05)  # any k of the 59 others
    assert {(row["n"], row["k_usual"]) for row in rows if row["k"] == 25} == {(30, 25), (60, 25)}


@pytest.fixture
def chart(small: Connection) -> Any:
    return alignment_curve(small, "crystals")


def test_lines_are_the_rows(chart: Any) -> None:
    lines = layers(chart, "line")
    columns = [layer.encoding["y"]["field"] for layer in lines]
    assert columns == ["chance", "value"] * 2
    for layer, along in zip(lines, ("n", "n", "k", "k"), strict=True):
        fixed, value = ("k", 25) if along == "n" else ("n", 60)
        column = layer.encoding["y"]["field"]
        drawn = sorted((row[along], row[column]) for row in layer.rows)
        rows = [row for row in chart.answer.rows if row[fixed] == value]
        expected = sorted((row[along], row[column]) for row in rows)
        assert [x for x, _ in drawn] == [x for x, _ in expected]
        assert [y for _, y in drawn] == pytest.approx([y for _, y in expected], rel=1e-4)
    highest = next(row for row in chart.answer.rows if row["pair"] == "highest")
    assert f"most alike: {highest['model_a']} · {highest['model_b']}" in written(chart)
    assert overlapping(chart) == []


def test_low_may_be_alike_and_a_pair_may_have_a_direction(small: Connection) -> None:
    chart = alignment_curve(small, "crystals", metric="information_imbalance", ks=[1, 2])
    lowest = next(row for row in chart.answer.rows if row["pair"] == "lowest")
    names = layers(chart, "line")[0].encoding["color"]["scale"]["domain"]
    assert f"most alike: {lowest['model_a']} → {lowest['model_b']}" in names
    assert "information imbalance (low is alike)" in written(chart)


def test_metrics_without_neighbors_have_one_panel(small: Connection) -> None:
    chart = alignment_curve(small, "crystals", metric="cka", repeats=2)
    titles = [layer.encoding["x"]["title"] for layer in layers(chart, "area")]
    assert titles == ["systems, n"]


def test_points_with_a_warning_are_rings(chart: Any) -> None:
    for layer in layers(chart, "point"):
        assert {("warning" in row) for row in layer.rows} <= {not layer.mark["filled"]}
    rings = [
        row for layer in layers(chart, "point") if not layer.mark["filled"] for row in layer.rows
    ]
    assert (
        {(row["n"], row["k"]) for row in rings}
        == {(row["n"], row["k"]) for row in chart.answer.rows if row["warning"]}
        != set()
    )
    (note,) = (note for note in chart.usermeta["notes"] if note.startswith("Rings"))
    assert note == (
        "Rings: k is more than 1/4 of the systems, or systems have ties at the k-th neighbor (up "
        "to 17 % in counts), which count in part."
    )


def test_rings_due_to_ties_say_so(own: Connection) -> None:
    """A model that sees only two kinds of systems has ties in all of them."""
    remove(own, "model_id = 'beta-0'")
    put(own, "beta-0", [f"crystals/{i:03d}" for i in range(60)], np.eye(2, 8)[np.arange(60) % 2])
    chart = alignment_curve(
        own, "crystals", model_a="alpha-0", model_b="beta-0", metric="mutual_knn", ks=[2, 5]
    )
    reasons = [row["warning"] for row in chart.answer.rows if row["n"] == 60]
    assert all("100% of systems have ties at the k-th neighbor in beta-0" in r for r in reasons)
    (note,) = (note for note in chart.usermeta["notes"] if note.startswith("Rings"))
    assert "systems have ties at the k-th neighbor (up to 100 % in beta-0)" in note


def test_values_above_one_are_explained(small: Connection) -> None:
    chart = alignment_curve(small, "crystals", model_a="alpha-0", model_b="alpha-1", ns=[27, 60])
    above = max(row["value"] for row in chart.answer.rows) > 1
    said = "The estimate of CKNNA may exceed 1 if there are few systems." in chart.usermeta["notes"]
    assert said == above


def test_undefined_values_are_crosses(small: Connection) -> None:
    chart = alignment_curve(small, "crystals", ns=[10, 40, 60], ks=[5])
    crosses = [layer for layer in layers(chart, "text") if layer.mark["text"] == "×"]
    rows = [row for layer in crosses for row in layer.rows]
    assert len(rows) == 2 and all(row["reason"] for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model_a": "alpha-0", "model_b": "flat"},
            "cknna is undefined on crystals: every vector of flat",
        ),
        (
            {"model_a": "flat"},
            "no two models of different families have a value on crystals: "
            "matterzoo ingest MODEL crystals",
        ),
        (
            {"metric": "cka", "ns": [60]},
            "too few systems on crystals to take parts of them: n = 60",
        ),
    ],
)
def test_nothing_to_draw(small: Connection, options: dict[str, object], message: str) -> None:
    with pytest.raises(NothingToDraw, match=message):
        alignment_curve(small, "crystals", **options)  # type: ignore[arg-type]
