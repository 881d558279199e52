"""FROM alignment_curve(...): values at other numbers of systems and other k."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from query.metrics import METRICS, align, find_metric
from query.statistics.interval import subsets

COLUMNS = (
    "model_a", "model_b", "dataset", "n", "n_distinct", "k", "value", "std", "chance",
    "repeats", "metric", "estimator", "normalization", "warning",
    "reason",
)  # fmt: skip
N = 60

Vectors = dict[str, NDArray[np.float32]]


def curve(con: duckdb.DuckDBPyConnection, arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        con.sql(f"FROM alignment_curve({arguments})").to_arrow_table().to_pylist()
    )
    return rows


@pytest.mark.parametrize("metric", METRICS)
def test_all_systems_are_the_alignment(
    con: duckdb.DuckDBPyConnection, vectors: Vectors, metric: str
) -> None:
    rows = curve(
        con, f"'base', 'near', dataset := 'crystals', metric := '{metric}', k := 5, ns := [{N}]"
    )
    assert tuple(rows[0]) == COLUMNS
    ks = [2, 5, 10, 25] if METRICS[metric].uses_k else [None]
    assert (
        sorted(row["k"] for row in rows) == sorted(ks) if METRICS[metric].uses_k else len(rows) == 1
    )
    for row in rows:
        expected = align(vectors["base"], vectors["near"], metric, k=row["k"], permutations=10)
        assert row["value"] == pytest.approx(expected.value, abs=1e-12)
        assert row["chance"] == pytest.approx(expected.null_mean, abs=1e-12)
        assert (row["n"], row["repeats"], row["std"], row["reason"]) == (N, 1, None, None)


@pytest.mark.parametrize("normalize", ["l2", "zscore"])
@pytest.mark.parametrize("metric", METRICS)
def test_fewer_systems_are_random_subsets_cut_by_hand(
    con: duckdb.DuckDBPyConnection, vectors: Vectors, metric: str, normalize: str
) -> None:
    how = f"metric := '{metric}', normalize := '{normalize}', k := 5, seed := 3, repeats := 4"
    rows = curve(con, f"'base', 'far', dataset := 'crystals', {how}, ns := [50, 20]")
    rows = [row for row in rows if row["n"] < N]
    assert [(row["n"], row["repeats"]) for row in rows] == [(20, 4), (50, 4)]
    for row in rows:
        values = [
            align(
                vectors["base"][chosen], vectors["far"][chosen], metric, k=5, normalize=normalize
            ).value
            for chosen in subsets(N, row["n"], 4, seed=3)
        ]
        assert row["value"] == pytest.approx(np.mean(values), abs=1e-10)
        assert row["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-10)


def test_the_ladders(con: duckdb.DuckDBPyConnection) -> None:
    rows = curve(con, "'base', 'near', k := 5")
    assert [(row["dataset"], row["n"], row["k"]) for row in rows] == [
        ("crystals", 7, 5), ("crystals", 15, 5), ("crystals", 30, 5), ("crystals", 60, 5),
        ("crystals", 60, 2), ("crystals", 60, 10), ("crystals", 60, 25),
        ("molecules", 10, 5), ("molecules", 20, 5), ("molecules", 40, 5),
        ("molecules", 40, 2), ("molecules", 40, 10),
    ]  # fmt: skip


def test_points_with_too_many_neighbors_have_a_warning(con: duckdb.DuckDBPyConnection) -> None:
    rows = curve(con, "'base', 'near', dataset := 'crystals', k := 5")
    crowded = [row["n"] < 4 * row["k"] for row in rows]
    assert [row["warning"] is not None for row in rows] == crowded
    assert 0 < sum(crowded) < len(rows)
    (tight,) = [row["warning"] for row in rows if row["n"] == 7]
    assert tight.startswith("k = 5")


def test_chance_is_about_k_of_n(con: duckdb.DuckDBPyConnection) -> None:
    rows = curve(
        con, "'base', 'noise', dataset := 'crystals', metric := 'mutual_knn', k := 5, repeats := 9"
    )
    for row in rows:
        assert row["chance"] == pytest.approx(row["k"] / (row["n"] - 1), rel=0.25)


def test_models_that_lack_systems_are_compared_on_what_they_share(
    con: duckdb.DuckDBPyConnection, vectors: Vectors
) -> None:
    rows = curve(
        con, "'partial', 'stale', dataset := 'crystals', k := 5, ns := [50], ks := [5, 49]"
    )
    assert [(row["n"], row["k"]) for row in rows] == [(50, 5), (50, 49)]
    for row in rows:
        expected = align(vectors["partial"][10:], vectors["stale"][10:], k=row["k"])
        assert row["value"] == pytest.approx(expected.value, abs=1e-12)


def test_the_largest_k_is_unbiased_cka(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = curve(
        con, f"'base', 'far', dataset := 'crystals', ns := [{N}], k := {N - 1}, ks := [{N - 1}]"
    )
    cka = con.sql(
        "SELECT value FROM alignment('base', 'far', dataset := 'crystals', metric := 'cka')"
    ).fetchall()
    assert row["value"] == pytest.approx(cka[0][0], abs=1e-12)


@pytest.mark.parametrize(
    ("pair", "options", "reason"),
    [
        ("'base', 'constant'", "k := 5", "every vector of constant is the same"),
        ("'base', 'near'", "ns := [61], ks := []", "only n = 60 systems in common"),
        (
            "'base', 'near'",
            "ns := [5], ks := []",
            "n = 5 systems in common, but k = 25 needs at least 26",
        ),
        (
            "'base', 'near'",
            "ns := [60], k := 60, ks := []",
            "n = 60 systems in common, but k = 60 needs at least 61",
        ),
        ("'base', 'empty'", "k := 5", "nothing in common: no vectors of empty on crystals"),
        (
            "'base', 'near'",
            "systems := ['crystals/001', 'crystals/002']",
            "n = 2 systems in common",
        ),
    ],
)
def test_what_is_undefined_has_a_reason(
    con: duckdb.DuckDBPyConnection, pair: str, options: str, reason: str
) -> None:
    rows = curve(con, f"{pair}, dataset := 'crystals', {options}")
    assert rows
    for row in rows:
        assert row["value"] is row["std"] is row["chance"] is None
        assert row["repeats"] == 0
        assert reason in row["reason"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("metric := 'cka', ks := [5]", "cka has no neighbors, but ks was given"),
        ("metric := 'cka, cknna'", "alignment_curve takes one metric, but 2 were given"),
        ("ks := [0]", "ks = 0, expected at least 1"),
        ("ns := [20, -1]", "ns = -1, expected at least 1"),
        ("repeats := 0", "repeats = 0, expected at least 1"),
        ("metric := 'cknn'", "did you mean 'cknna'"),
        ("dataset := 'crystal'", "did you mean 'crystals'"),
    ],
)
def test_what_makes_no_sense_is_an_error(
    con: duckdb.DuckDBPyConnection, options: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        curve(con, f"'base', 'near', {options}")


def test_the_direction_of_an_asymmetric_metric(
    con: duckdb.DuckDBPyConnection, vectors: Vectors
) -> None:
    assert not find_metric("information_imbalance").symmetric
    for a, b in (("base", "far"), ("far", "base")):
        rows = curve(
            con,
            f"'{a}', '{b}', dataset := 'crystals', metric := 'information_imbalance', ns := [{N}]",
        )
        for row in rows:
            expected = align(vectors[a], vectors[b], "information_imbalance", k=row["k"]).value
            assert row["value"] == pytest.approx(expected, abs=1e-12)
