"""The information-imbalance plane: values agree with ranks of dense distances."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from query.figures import NothingToDraw, information_imbalance_plane
from query.statements import ask
from tests.query.figures.scene import layers, overlapping, written
from tests.vectors import remove

Connection = duckdb.DuckDBPyConnection


def imbalance(connection: Connection, a: str, b: str) -> float:
    """Return Δ(a → b): twice the mean rank in b of the nearest neighbor in a, over n."""
    tables = []
    for model in (a, b):
        asked = (
            "SELECT vector FROM embeddings WHERE model_id = ? AND system_id LIKE 'crystals/%' "
            "ORDER BY system_id"
        )
        x = np.array(
            [row[0] for row in connection.execute(asked, [model]).fetchall()], dtype=np.float64
        )
        tables.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    near, far = (cdist(x, x) for x in tables)
    np.fill_diagonal(near, np.inf)
    np.fill_diagonal(far, -1)
    places = rankdata(far, axis=1) - 1
    return float(2 / len(near) * places[np.arange(len(near)), near.argmin(axis=1)].mean())


def test_rows_are_information_imbalances(small: Connection) -> None:
    rows = ask(
        small, "information_imbalance_plane", dataset_a="crystals", models="alpha-0,beta-1,rings"
    ).rows
    assert [(row["model_a"], row["model_b"]) for row in rows] == [
        ("alpha-0", "beta-1"),
        ("alpha-0", "rings"),
        ("beta-1", "rings"),
    ]
    for row in rows:
        assert row["a_to_b"] == pytest.approx(imbalance(small, row["model_a"], row["model_b"]))
        assert row["b_to_a"] == pytest.approx(imbalance(small, row["model_b"], row["model_a"]))
        assert (row["n"], row["k"], row["reason"]) == (60, 1, None)


def test_two_datasets_have_equally_many_systems(own: Connection) -> None:
    remove(own, "starts_with(system_id, 'molecules/') AND right(system_id, 3) >= '040'")
    remove(own, "model_id = 'beta-2' AND right(system_id, 3) >= '010'")
    chart = information_imbalance_plane(own, "crystals", dataset_b="molecules", k=2)
    rows = chart.answer.rows
    assert {row["n"] for row in rows if row["a_to_b"] is not None} == {40}
    left_out = [row for row in rows if "beta-2" in (row["model_a"], row["model_b"])]
    assert {row["reason"] for row in left_out} == {
        "one of the two sees less than half of the systems that others see"
    }
    meaning, order, *undefined = chart.to_dict()["usermeta"]["notes"]
    assert meaning.startswith("Δ(a → b): how far apart b places")
    assert order.startswith("Of a pair, a is the model that comes first by family, then by name")
    for dataset, note in zip(("crystals", "molecules"), undefined, strict=True):
        assert note.startswith(f"On {dataset}, 7 of 28 pairs are undefined and not drawn")
    scales = [layer.encoding[side]["scale"] for layer in layers(chart, "point") for side in "xy"]
    assert all(scale == scales[0] for scale in scales)
    assert {"0.25", "0.75"} <= written(chart)
    assert {f"Δ(a → b) on {name}, n = 40, k = 2" for name in ("crystals", "molecules")} <= written(
        chart
    )


def test_a_point_is_a_pair(large: Connection) -> None:
    chart = information_imbalance_plane(large, "crystals")
    drawn = {
        (row["model_a"], row["model_b"]): (row["a_to_b"], row["b_to_a"])
        for layer in layers(chart, "point")
        for row in layer.rows
    }
    assert len(drawn) == 62 * 61 / 2
    for row in chart.answer.rows:
        values = (row["a_to_b"], row["b_to_a"])
        assert drawn[row["model_a"], row["model_b"]] == pytest.approx(values, rel=1e-4)
    for layer in layers(chart, "point"):
        for row in layer.rows:
            lower = "model_a" if row["a_to_b"] < row["b_to_a"] else "model_b"
            assert row["teller"] == row[lower] or row["a_to_b"] == row["b_to_a"]
    x = layers(chart, "point")[0].encoding["x"]
    assert x["scale"]["domain"][1] > max(map(max, drawn.values()))
    # Δ(a → b) ≈ 0 and Δ(b → a) ≈ 1 mean that a holds all that b holds, and b nothing of a.
    *corners, names = sorted(layers(chart, "text"), key=lambda layer: "name" in layer.rows[0])
    places = {layer.rows[0]["text"]: layer.encoding for layer in corners}
    corner = places["a contains b"]
    assert corner["x"]["value"] < 20 and corner["y"]["value"] < 20
    assert places["the same information"]["y"]["value"] == "height"
    alike = min(chart.answer.rows, key=lambda row: row["a_to_b"] + row["b_to_a"])
    apart = sorted(chart.answer.rows, key=lambda row: row["b_to_a"] - row["a_to_b"])
    outstanding = set()
    for row in (alike, apart[0], apart[-1]):
        # The lower Δ(x → y), the more x tells about y.
        directions = {
            row["a_to_b"]: "{model_a} > {model_b}",
            row["b_to_a"]: "{model_b} > {model_a}",
        }
        outstanding.add(directions[min(directions)].format(**row))
    assert {row["name"] for row in names.rows} <= outstanding and names.rows
    assert overlapping(chart) == []


def test_one_model_is_too_few(small: Connection) -> None:
    with pytest.raises(NothingToDraw, match="two models with vectors on crystals are needed"):
        information_imbalance_plane(small, "crystals", models=["alpha-0"])
