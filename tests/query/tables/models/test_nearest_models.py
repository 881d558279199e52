"""FROM nearest_models(...): the models that see a dataset most as one does."""

from __future__ import annotations

import duckdb
import pytest

from query.metrics import METRICS

HOW = "dataset := 'crystals', k := 5"

Connection = duckdb.DuckDBPyConnection


def test_nearest_models_come_best_first(con: Connection) -> None:
    rows = con.sql(f"SELECT rank, model_id, value FROM nearest_models('base', {HOW})").fetchall()
    assert [model for _, model, _ in rows] == [
        "partial", "rotated", "scaled", "stale", "near", "far", "noise", "constant",
        "poisoned", "ragged",
    ]  # fmt: skip
    assert [rank for rank, *_ in rows] == [1, 2, 3, 4, 5, 6, 7, None, None, None]


def test_nearest_models_are_alignments(con: Connection) -> None:
    shared = (
        "value, calibrated, p_value, n, dropped_a, dropped_b, metric, estimator, "
        "normalization, k, null_mean, reason"
    )
    asked = f"FROM nearest_models('near', {HOW}) WHERE model_id = 'partial'"
    aligned = f"FROM alignment('near', 'partial', {HOW})"
    assert (
        con.sql(f"SELECT {shared} {asked}").fetchall()
        == con.sql(f"SELECT {shared} {aligned}").fetchall()
    )


def test_nearest_models_may_be_chosen_and_few(con: Connection) -> None:
    chosen = f"models := ['far', 'near', 'base', 'noise'], {HOW}"
    rows = con.sql(f"SELECT model_id FROM nearest_models('base', top := 2, {chosen})").fetchall()
    assert rows == [("near",), ("far",)]
    both = con.sql(
        "SELECT dataset, count(*) FROM nearest_models('base', k := 5, top := 3) GROUP BY 1 "
        "ORDER BY 1"
    )
    assert both.fetchall() == [("crystals", 3), ("molecules", 3)]
    with pytest.raises(duckdb.InvalidInputException, match="top = 0, expected at least 1"):
        con.sql("FROM nearest_models('base', top := 0)").fetchall()


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_come_first_whatever_the_metric(con: Connection, metric: str) -> None:
    chosen = f"models := ['noise', 'far', 'near', 'rotated'], metric := '{metric}', {HOW}"
    rows = con.sql(f"SELECT rank, model_id, value FROM nearest_models('base', {chosen})").fetchall()
    assert [rank for rank, *_ in rows] == [1, 2, 3, 4]
    assert [model for _, model, _ in rows] == ["rotated", "near", "far", "noise"]
    values = [value for *_, value in rows]
    assert values == sorted(values, reverse=not METRICS[metric].lower_is_closer)


def test_each_metric_has_nearest_models_of_its_own(con: Connection) -> None:
    both = f"FROM nearest_models('base', {HOW}, top := 2, metric := ['procrustes', 'cka'])"
    alone = [
        f"FROM nearest_models('base', {HOW}, top := 2, metric := '{metric}')"
        for metric in ("procrustes", "cka")
    ]
    assert [row[1] for row in con.sql(both).fetchall()] == [
        row[1] for sql in alone for row in con.sql(sql).fetchall()
    ]
    assert [row[0] for row in con.sql(both).fetchall()] == [1, 2, 1, 2]
