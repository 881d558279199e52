"""The curves: which pairs are chosen, and that values agree with dense formulas."""

from __future__ import annotations

from itertools import combinations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, Plot, alignment_curve
from query.statements import ask
from tests.query.figures.conftest import SMALL, model_names
from tests.query.figures.restated import information_imbalance, mutual_knn, unit
from tests.query.figures.texts import overlapping, written
from tests.vectors import remove

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
def plot(small: Connection) -> Plot:
    return alignment_curve(small, "crystals")


def test_lines_are_the_rows(plot: Plot) -> None:
    for axes, along, fixed in zip(plot.axes, ("n", "k"), (("k", 25), ("n", 60)), strict=True):
        lines = [line for line in axes.lines if line.get_linestyle() == "-"]
        chances = [line for line in axes.lines if line.get_linestyle() == "--"]
        for pair, line, chance in zip(("highest", "lowest"), lines, chances, strict=True):
            rows = [
                row for row in plot.answer.rows if row["pair"] == pair and row[fixed[0]] == fixed[1]
            ]
            np.testing.assert_allclose(
                line.get_xydata(), [(row[along], row["value"]) for row in rows]
            )
            np.testing.assert_allclose(
                chance.get_xydata(), [(row[along], row["chance"]) for row in rows]
            )
    (label,) = (text for text in written(plot) if text.startswith("most alike:"))
    highest = next(row for row in plot.answer.rows if row["pair"] == "highest")
    assert label == f"most alike:\n{highest['model_a']} ·\n{highest['model_b']}"


def test_low_may_be_alike_and_a_pair_may_have_a_direction(small: Connection) -> None:
    plot = alignment_curve(small, "crystals", metric="information_imbalance", ks=[1, 2])
    (label,) = (text for text in written(plot) if text.startswith("most alike:"))
    lowest = next(row for row in plot.answer.rows if row["pair"] == "lowest")
    assert label == f"most alike:\n{lowest['model_a']} →\n{lowest['model_b']}"
    assert "information_imbalance (low is alike)" in written(plot)


def test_metrics_without_neighbors_have_one_panel(small: Connection) -> None:
    plot = alignment_curve(small, "crystals", metric="cka", repeats=2)
    assert [axes.get_xlabel() for axes in plot.axes] == ["systems, n"]
    assert overlapping(plot) == []


def test_labels_of_lines_that_end_together_do_not_collide(small: Connection) -> None:
    plot = alignment_curve(
        small, "crystals", ks=[2, 58]
    )  # where k is nearly n, all values are CKA's and chance is near
    assert overlapping(plot) == []
    assert (
        len(plot.tooltips()) == len([*plot.answer.rows]) + 2
    )  # all systems at the usual k are in both panels


def test_undefined_values_are_hatched(small: Connection) -> None:
    plot = alignment_curve(small, "crystals", ns=[10, 40, 60], ks=[5])
    assert sum(patch.get_hatch() is not None for patch in plot.axes[0].patches) == 2
    assert sum("undefined" in tooltip.text for tooltip in plot.tooltips()) == 2


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
