"""FROM layer_alignment(...): every layer against every layer, against the best pair by chance."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from query.metrics import Comparison, align, align_all
from query.statistics.null import permutations
from tests.query.layers import DATASETS, LAYERS, SHARED, make_layers

HOW = "dataset := 'crystals', k := 5, permutations := 19"
N = DATASETS["crystals"]
DRAWS = 120  # pairs of unrelated models

Connection = duckdb.DuckDBPyConnection


def ask(layers: Connection, call: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        layers.sql(f"FROM layer_alignment({call})").to_arrow_table().to_pylist()
    )
    return rows


def test_every_pair_of_layers_has_the_value_of_an_alignment(layers: Connection) -> None:
    rows = ask(layers, f"'deep', 'wide', {HOW}, metric := ['cknna', 'information_imbalance']")
    assert len(rows) == 2 * LAYERS["deep"] * LAYERS["wide"]
    for row in rows[:3] + rows[-3:]:
        a, b = (f"{row[f'model_{side}']}#{row[f'layer_{side}']}" for side in "ab")
        asked = f"'{a}', '{b}', {HOW}, metric := '{row['metric']}'"
        ((value,),) = layers.sql(f"SELECT value FROM alignment({asked})").fetchall()
        assert row["value"] == pytest.approx(value, abs=1e-12)
    depths = [(row["layer_a"], row["depth_a"]) for row in rows if row["layer_b"] == "layer-0"]
    assert depths[:4] == [(f"layer-{i}", pytest.approx(i / 3)) for i in range(4)]
    for part, best in ((rows[:12], max), (rows[12:], min)):
        (framed,) = (row for row in part if row["best"])
        assert framed["value"] == best(row["value"] for row in part)
        assert framed["layer_a"] == f"layer-{SHARED['deep']}"
        assert framed["layer_b"] == f"layer-{SHARED['wide']}"


@pytest.mark.parametrize(
    ("metric", "lower"), [("mutual_knn", False), ("information_imbalance", True), ("cka", False)]
)
def test_each_value_is_compared_with_the_best_pair_by_chance(
    layers: Connection, metric: str, lower: bool
) -> None:
    a, b = make_layers("wide", N), make_layers("deep", N)[2]
    best = []
    for order in permutations(N, 19, seed=3):
        shuffled = [align(x, b[order.numpy()], metric, k=5).value for x in a]
        best.append((min if lower else max)(v for v in shuffled if v is not None))
    null = np.array(best)
    rows = ask(layers, f"'wide', 'deep#layer-2', {HOW}, metric := '{metric}', seed := 3")
    assert len(rows) == len(a)
    for row in rows:
        assert (row["null_mean"], row["null_std"]) == pytest.approx((null.mean(), null.std(ddof=1)))
        as_close = null <= row["value"] + 1e-12 if lower else null >= row["value"] - 1e-12
        assert row["p_value"] == (1 + as_close.sum()) / 20


def test_unrelated_models_have_a_best_pair_as_often_as_p_says() -> None:
    """The p of the best pair is uniform; by nulls of single pairs, half would have p ≤ 0.1."""
    smallest: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        tables = []
        for _ in range(2):  # layers of a model have much in common
            seen = rng.normal(size=(24, 4))
            tables += [seen @ rng.normal(size=(4, 5)) + rng.normal(size=(24, 5)) for _ in range(3)]
        comparison, pairs = Comparison(tables), [(i, j) for i in range(3) for j in range(3, 6)]
        for of_best, found in smallest.items():
            aligned = align_all(
                comparison, ["cka"], pairs, permutations=9, seed=seed, null_of_best=of_best
            )
            found.append(min(its.p_value or 1.0 for _, _, its in aligned))
    for level in (0.1, 0.3, 0.5, 0.8):
        spread = (level * (1 - level) / DRAWS) ** 0.5  # of a binomial
        assert abs(np.mean(np.array(smallest[True]) <= level) - level) <= 3 * spread
    assert np.mean(np.array(smallest[False]) <= 0.1) > 0.3


def test_an_estimate_has_the_null_of_the_best_pair_too(layers: Connection) -> None:
    rows = ask(layers, f"'deep', 'wide', {HOW}, rows := 20, metric := 'mutual_knn'")
    assert {row["rows"] for row in rows} == {20}
    assert len({row["null_mean"] for row in rows}) == 1
    (framed,) = (row for row in rows if row["best"])
    assert framed["p_value"] == min(row["p_value"] for row in rows)


def test_one_representation_stands_for_a_model_without_layers(layers: Connection) -> None:
    rows = ask(layers, f"'deep', 'plain#last', {HOW}, metric := 'cka'")
    assert [(row["layer_b"], row["depth_b"]) for row in rows] == [("last", None)] * 4
    (framed,) = (row for row in rows if row["best"])
    assert framed["layer_a"] == "layer-2" and framed["value"] == pytest.approx(1)
    one = ask(layers, f"'deep#layer-3', 'plain#last', {HOW}")
    assert [(row["layer_a"], row["depth_a"], row["best"]) for row in one] == [("layer-3", 1, True)]


def test_a_model_against_itself_is_most_alike_on_the_diagonal(layers: Connection) -> None:
    rows = ask(layers, f"'deep', 'deep', {HOW}")
    same = [row["value"] for row in rows if row["layer_a"] == row["layer_b"]]
    assert same == pytest.approx([1] * 4)
    value = {(row["layer_a"], row["layer_b"]): row["value"] for row in rows}
    assert value["layer-0", "layer-3"] == pytest.approx(value["layer-3", "layer-0"])


def test_all_pairs_are_compared_on_the_systems_of_all_layers(layers: Connection) -> None:
    rows = ask(layers, "'wide', 'deep', k := 5, permutations := 0")
    assert {(row["dataset"], row["n"]) for row in rows} == {("crystals", 40), ("molecules", 29)}
    assert [row["best"] for row in rows].count(True) == 2
    assert {row["p_value"] for row in rows} == {None}


def test_another_pooling_has_layers_of_its_own(layers: Connection) -> None:
    rows = ask(layers, f"'deep', 'plain#last', pooling := 'std', {HOW}")
    assert [row["layer_a"] for row in rows] == [f"layer-{i}:std" for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "'plain', 'deep'",
            "no layers of plain pooled by their mean: `matterzoo ingest plain DATASET "
            "--representation layers` adds them, or name one representation: 'plain#last'",
        ),
        (
            "'wide', 'deep', pooling := 'std'",
            "no layers of wide pooled by their std: .* --representation layers:std` adds them",
        ),
        (
            "'deep', 'tall', dataset := 'molecules'",
            "no layers of tall on molecules, only on crystals: `matterzoo ingest tall molecules "
            "--representation layers` adds them",
        ),
        (
            "'tall#layer-3', 'deep', dataset := 'molecules'",
            "only on crystals: `matterzoo ingest tall molecules --representation layer-3` adds",
        ),
        ("'deep', 'wide', pooling := 'median'", "unknown pooling 'median'"),
        ("'deap', 'wide'", "no model 'deap' in this store; did you mean 'deep'"),
    ],
)
def test_errors_say_what_to_do(layers: Connection, call: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        ask(layers, call)


def test_layers_are_compared_by_what_a_description_leaves(layers: Connection) -> None:
    rows = ask(layers, f"'deep', 'wide', {HOW}, given := 'wide#layer-0'")
    for row in rows:
        assert (row["value"] is None) == (row["layer_b"] == "layer-0")
    asked = f"'deep#layer-1', 'wide#layer-1', {HOW}, given := 'wide#layer-0'"
    ((value, share),) = layers.sql(
        f"SELECT value, given_share_a FROM alignment({asked})"
    ).fetchall()
    (row,) = (r for r in rows if (r["layer_a"], r["layer_b"]) == ("layer-1", "layer-1"))
    assert (row["value"], row["given_share_a"]) == (pytest.approx(value, abs=1e-9), share)
