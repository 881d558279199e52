"""The figure of two datasets: values on equally many systems agree with a dense formula."""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from query.figures import NothingToDraw, alignment_across_datasets
from query.figures.drawing.looks import RING, family_looks
from query.statements import ask
from tests.query.figures.scene import layers, overlapping, written
from tests.vectors import remove

Connection = duckdb.DuckDBPyConnection
PAIR = {"dataset_a": "crystals", "dataset_b": "molecules"}


def first(dataset: str, count: int, seed: int = 0) -> list[str]:
    """Return the systems that come first by their hash."""
    ids = [f"{dataset}/{i:03d}" for i in range(60)]
    return sorted(
        sorted(ids, key=lambda name: hashlib.md5(f"{name}{seed}".encode()).hexdigest())[:count]
    )


def read(connection: Connection, model: str, systems: list[str]) -> np.ndarray:
    asked = (
        "SELECT vector FROM embeddings WHERE model_id = ? AND system_id IN (SELECT unnest(?)) "
        "ORDER BY system_id"
    )
    x = np.array(
        [row[0] for row in connection.execute(asked, [model, systems]).fetchall()], dtype=np.float64
    )
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def distance_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return the R* of Székely and Rizzo, written again with dense matrices."""
    n = len(x)
    centered = []
    for table in (x, y):
        d = cdist(table, table)
        u = d - d.sum(0) / (n - 2) - d.sum(1)[:, None] / (n - 2) + d.sum() / ((n - 1) * (n - 2))
        centered.append(u[~np.eye(n, dtype=bool)])
    a, b = centered
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_both_datasets_are_narrowed_to_equally_many_systems(own: Connection) -> None:
    remove(own, "starts_with(system_id, 'molecules/') AND right(system_id, 3) >= '040'")
    remove(own, "model_id = 'beta-2' AND right(system_id, 3) >= '010'")
    rows = ask(
        own,
        "alignment_across_datasets",
        **PAIR,
        metric="distance_correlation",
        models="alpha-0,beta-1,beta-2",
    ).rows
    assert [(row["model_a"], row["model_b"], row["n_a"], row["n_b"]) for row in rows] == [
        ("alpha-0", "beta-1", 40, 40),
        ("alpha-0", "beta-2", None, None),
        ("beta-1", "beta-2", None, None),
    ]
    assert rows[1]["reason"] == "one of the two sees less than half of the systems that others see"
    for column, systems in (("on_a", first("crystals", 40)), ("on_b", first("molecules", 60)[:40])):
        expected = distance_correlation(
            *(read(own, model, systems) for model in ("alpha-0", "beta-1"))
        )
        assert rows[0][column] == pytest.approx(expected, abs=1e-5)
    other = ask(
        own,
        "alignment_across_datasets",
        **PAIR,
        metric="distance_correlation",
        models="alpha-0,beta-1",
        seed=1,
    ).rows
    assert other[0]["on_a"] == pytest.approx(
        distance_correlation(
            *(read(own, model, first("crystals", 40, 1)) for model in ("alpha-0", "beta-1"))
        ),
        abs=1e-5,
    )


def test_a_point_is_a_pair(small: Connection) -> None:
    chart = alignment_across_datasets(small, "crystals", "molecules", metric="cka,procrustes")
    rows = chart.answer.rows
    points = layers(chart, "point")
    assert [layer.mark["filled"] for layer in points] == [False, True] * 2
    shapes = points[1].encoding["shape"]  # the legend's, whose marks are filled
    assert dict(zip(shapes["scale"]["domain"], shapes["scale"]["range"], strict=True)) == {
        **{family: look.shape for family, look in family_looks(small, "crystals").items()},
        "two families": RING,
    }
    for place, metric in enumerate(("cka", "procrustes")):
        rings, marks = points[2 * place : 2 * place + 2]
        drawn = {
            (row["model_a"], row["model_b"]): (row["on_a"], row["on_b"])
            for row in rings.rows + marks.rows
        }
        expected = {
            (row["model_a"], row["model_b"]): (row["on_a"], row["on_b"])
            for row in rows
            if row["metric"] == metric
        }
        assert drawn.keys() == expected.keys() and len(drawn) == 8 * 7 / 2
        for pair, values in expected.items():
            assert drawn[pair] == pytest.approx(values, rel=1e-4)
        # The axes are equal, and no longer than the values.
        ends = [rings.encoding[side]["scale"]["domain"] for side in "xy"]
        known = [value for values in expected.values() for value in values]
        assert ends[0] == ends[1] and ends[0][0] < min(known) and max(known) < ends[0][1]
        assert max(known) > ends[0][1] - 0.1 * (ends[0][1] - ends[0][0])
    above = sum(row["on_b"] > row["on_a"] for row in rows if row["metric"] == "procrustes")
    assert f"more alike on crystals: {above} of 28 pairs" in written(chart)
    assert overlapping(chart) == []


def test_chance_is_shown_where_it_is_known(small: Connection) -> None:
    chosen = {"metric": "cka", "models": ["alpha-0", "beta-1", "beta-2"]}
    chart = alignment_across_datasets(small, "crystals", "molecules", **chosen, permutations=50)
    rows = chart.answer.rows
    drawn = [v for layer in layers(chart, "rule") for row in layer.rows for v in row.values()]
    across, up = ([row[name] for row in rows] for name in ("null_mean_a", "null_mean_b"))
    assert drawn == pytest.approx([min(across), max(across), min(up), max(up)])
    (word,) = (
        row for layer in layers(chart, "text") for row in layer.rows if row.get("text") == "chance"
    )
    assert word["on_b"] == pytest.approx(max(up))
    without = alignment_across_datasets(small, "crystals", "molecules", **chosen, permutations=0)
    assert layers(without, "rule") == []


def test_one_model_is_too_few(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw, match="two models with vectors on both crystals and molecules are needed"
    ):
        alignment_across_datasets(small, "crystals", "molecules", models=["alpha-0"])
