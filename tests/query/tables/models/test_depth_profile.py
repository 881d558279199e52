"""FROM depth_profile(...): a row per layer, each as `alignment` and `dimensions` have it."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from query.metrics import effective_rank
from tests.query.layers import DATASETS, LAYERS, make_layers

HOW = "k := 5, permutations := 19"
Connection = duckdb.DuckDBPyConnection


def ask(layers: Connection, call: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        layers.sql(f"FROM depth_profile({call})").to_arrow_table().to_pylist()
    )
    return rows


def test_each_layer_is_aligned_with_the_reference_and_measured(layers: Connection) -> None:
    asked = "models := ['wide', 'deep'], metric := ['cka', 'cknna']"
    rows = ask(layers, f"'crystals', 'deep#layer-2', {asked}, {HOW}")
    assert [(row["metric"], row["model_id"], row["layer"]) for row in rows] == [
        (metric, model, f"layer-{i}")
        for metric in ("cka", "cknna")
        for model in ("wide", "deep")
        for i in range(LAYERS[model])
    ]
    assert [row["depth"] for row in rows[:3]] == [0, 0.5, 1]
    (row,) = (
        r for r in rows if (r["metric"], r["layer"]) == ("cknna", "layer-1") and r["depth"] == 0.5
    )
    columns = "value, p_value, calibrated"
    alignment = f"alignment('wide#layer-1', 'deep#layer-2', 'crystals', {HOW})"
    ((*values,),) = layers.sql(f"SELECT {columns} FROM {alignment}").fetchall()
    assert [row[name] for name in columns.split(", ")] == pytest.approx(values, abs=1e-9)
    dimension = "dimensions('crystals', k := 5, models := ['wide#layer-1'])"
    assert layers.sql(f"SELECT value, k FROM {dimension}").fetchall() == [
        (row["measured"], row["measured_k"])
    ]
    (same,) = (
        r for r in rows if (r["metric"], r["layer"], r["depth"]) == ("cka", "layer-2", 2 / 3)
    )
    assert same["value"] == pytest.approx(1)


def test_without_a_reference_each_model_is_compared_with_itself(layers: Connection) -> None:
    rows = ask(layers, "k := 5, permutations := 0, measure := 'effective_rank'")
    assert [(row["dataset"], row["model_id"]) for row in rows if row["depth"] == 1] == [
        ("crystals", "deep"), ("crystals", "tall"), ("crystals", "wide"),
        ("molecules", "deep"), ("molecules", "wide"),
    ]  # fmt: skip
    assert {row["reference"] for row in rows} == {"deep", "tall", "wide"}
    assert [row["value"] for row in rows if row["depth"] == 1] == pytest.approx([1] * 5)
    last = make_layers("deep", DATASETS["crystals"])[3]
    measured = [row["measured"] for row in rows if row["layer"] == "layer-3"]
    assert measured[0] == pytest.approx(effective_rank(last))
    few = ask(
        layers, "'crystals', models := ['deep'], pooling := 'std', systems := ['crystals/001']"
    )
    assert [row["layer"] for row in few] == ["layer-1:std", "layer-2:std", "layer-3:std"]
    assert {(row["value"], row["measured"]) for row in few} == {(None, None)}
    assert all(row["reason"] and row["measured_note"] for row in few)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "'molecules', models := ['deep', 'tall']",
            "no layers of tall on molecules, only on crystals: `matterzoo ingest tall molecules",
        ),
        (
            "'molecules', pooling := 'sum'",
            "no model has layers on molecules pooled by their sum: `matterzoo ingest MODEL "
            "molecules --representation layers:sum` adds them",
        ),
        ("'crystals', pooling := 'median'", "unknown pooling 'median'"),
        ("'crystals', measure := 'effective_rang'", "did you mean 'effective_rank'"),
        ("'crystals', 'plane'", "no model 'plane' in this store; did you mean 'plain'"),
    ],
)
def test_errors_say_what_to_do(layers: Connection, call: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        ask(layers, call)
