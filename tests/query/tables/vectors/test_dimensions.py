"""Measures of one model in SQL: as aggregates over any rows, and by FROM dimensions(...)."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from query.metrics import MEASURES, NORMALIZATIONS, effective_rank, intrinsic_dimension, measure
from query.sql.macros import signatures
from tests.query.layers import DATASETS, LAYERS, make_layers

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]

WAYS = [(name, method) for name, found in MEASURES.items() for method in found.methods]
ways = pytest.mark.parametrize(("name", "method"), WAYS)
COLUMNS = (
    "model_id", "dataset", "value", "low", "high", "n", "n_distinct", "measure", "method",
    "normalization", "k", "standard_error", "rows", "depth", "warning", "reason",
)  # fmt: skip


def rows_of(con: Connection, sql: str) -> dict[str, dict[str, Any]]:
    """Rows by model; one dataset."""
    found = con.sql(sql)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    return {row["model_id"]: row for row in rows}


def options(name: str, k: int = 10) -> dict[str, int]:
    return {} if MEASURES[name].k is None else {"k": k}


def written(given: dict[str, Any]) -> str:
    return "".join(f", {option} := {value!r}" for option, value in given.items())


@ways
@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_an_aggregate_is_the_measure(
    con: Connection, vectors: Vectors, name: str, method: str, how: str
) -> None:
    given = options(name) | {"method": method, "normalize": how}
    rows = con.sql(f"""
        SELECT model_id, {name}(vector{written(given)}) FROM embeddings
        WHERE starts_with(system_id, 'crystals/') AND representation = 'last' GROUP BY ALL
    """).fetchall()
    found = dict(rows)
    for model in ("base", "near", "noise"):
        assert found[model] == pytest.approx(measure(vectors[model], name, **given).value, rel=1e-9)
    assert found["constant"] is found["ragged"] is found["poisoned"] is None


@pytest.mark.parametrize("name", MEASURES)
def test_aggregates_over_no_rows_and_nulls(con: Connection, vectors: Vectors, name: str) -> None:
    assert con.sql(f"SELECT {name}(vector) FROM embeddings WHERE false").fetchall() == [(None,)]
    given = written(options(name))
    rows = "FROM embeddings WHERE starts_with(system_id, 'crystals/') AND model_id = 'far'"
    skipped = con.sql(
        f"SELECT {name}(CASE WHEN system_id > 'crystals/019' THEN vector END{given}) {rows}"
    ).fetchall()
    assert (
        skipped
        == con.sql(f"SELECT {name}(vector{given}) {rows} AND system_id > 'crystals/019'").fetchall()
    )
    assert skipped[0][0] == pytest.approx(
        measure(vectors["far"][20:], name, **options(name)).value, rel=1e-9
    )


@ways
def test_the_order_of_rows_does_not_change_a_bit(con: Connection, name: str, method: str) -> None:
    given = written(options(name) | {"method": method})
    answers = [
        con.sql(f"""
            SELECT {name}(vector{given}) FROM (
                FROM embeddings WHERE starts_with(system_id, 'crystals/') AND model_id = 'far'
                    ORDER BY {order}
            )
        """).fetchall()
        for order in ("system_id", "hash(system_id)", "vector[1]")
    ]
    assert answers[0] == answers[1] == answers[2]


def test_aggregates_say_what_they_take() -> None:
    found = signatures()
    assert (
        found["intrinsic_dimension"]
        == "intrinsic_dimension(a, method := 'mle', k := 50, normalize := 'none', rows := NULL)"
    )
    assert found["effective_rank"] == "effective_rank(a, method := 'entropy', normalize := 'none')"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("intrinsic_dimension(vector, method := 'ml')", "did you mean 'mle'"),
        ("intrinsic_dimension(vector, k := 1)", "k = 1, expected at least 2 neighbors"),
        ("effective_rank(vector, method := 'entropi')", "did you mean 'entropy'"),
        ("effective_rank(vector, normalize := 'zscor')", "did you mean 'zscore'"),
    ],
)
@pytest.mark.parametrize("where", ["true", "false"])
def test_senseless_options_of_aggregates_are_errors(
    con: Connection, call: str, message: str, where: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"SELECT {call} FROM embeddings WHERE {where}").fetchall()


def test_intrinsic_dimension_of_every_model(con: Connection, vectors: Vectors) -> None:
    rows = rows_of(con, "FROM dimensions('crystals', k := 10)")
    assert list(rows) == sorted(name for name in vectors if "#" not in name)
    near = rows["near"]
    assert tuple(near) == COLUMNS
    assert near["value"] == pytest.approx(intrinsic_dimension(vectors["near"], k=10))
    assert tuple(near[column] for column in COLUMNS if column not in ("model_id", "value")) == (
        "crystals", None, None, 60, 60, "intrinsic_dimension", "mle", "none", 10, None, 60,
        None, None, None,
    )  # fmt: skip
    assert rows["partial"]["n"] == 50
    assert rows["rotated"]["value"] == pytest.approx(rows["base"]["value"], rel=1e-5)


@ways
def test_what_is_undefined_has_a_reason(con: Connection, name: str, method: str) -> None:
    more = written(options(name) | {"subsamples": 5})
    rows = rows_of(
        con, f"FROM dimensions('crystals', measure := '{name}', method := '{method}'{more})"
    )
    reasons = {model: row["reason"] for model, row in rows.items() if row["value"] is None}
    assert reasons == {
        "constant": "every vector of constant is the same",
        "ragged": "the vectors of ragged differ in length (15 to 16)",
        "poisoned": "row 3 of poisoned is not finite (NaN or infinity)",
    }
    assert all((rows[model]["low"], rows[model]["high"]) == (None, None) for model in reasons)
    assert all((rows[model]["n"], rows[model]["measure"]) == (60, name) for model in reasons)
    empty = rows_of(con, f"FROM dimensions('crystals', ['empty'], measure := '{name}')")["empty"]
    assert (empty["value"], empty["n"], empty["reason"]) == (None, 0, "no vectors on crystals")


@ways
def test_every_measure_with_its_interval(
    con: Connection, vectors: Vectors, name: str, method: str
) -> None:
    given = options(name) | {"normalize": "l2", "subsamples": 20, "seed": 3}
    sql = (
        f"FROM dimensions('crystals', ['far', 'base#all'], measure := '{name}', "
        f"method := '{method}'{written(given)})"
    )
    rows = rows_of(con, sql)
    for model in ("far", "base#all"):
        expected = measure(vectors[model], name, method=method, **given)
        found = (rows[model]["value"], rows[model]["low"], rows[model]["high"])
        assert found == pytest.approx((expected.value, expected.low, expected.high), rel=1e-12)
        assert rows[model]["low"] < rows[model]["value"] < rows[model]["high"]
        assert (rows[model]["k"], rows[model]["normalization"]) == (expected.k, "l2")
    assert rows_of(con, sql) == rows


def test_too_few_systems_for_an_interval_are_said(con: Connection) -> None:
    few = "(SELECT list(system_id) FROM systems WHERE system_id < 'crystals/007')"
    given = f"['far'], method := 'twonn', subsamples := 10, systems := {few}"
    row = rows_of(con, f"FROM dimensions('crystals', {given})")["far"]
    assert row["value"] is not None
    assert (row["n"], row["low"], row["high"], row["reason"]) == (7, None, None, None)
    assert row["warning"] == "no interval: random parts of n = 7 systems have no value of their own"


def test_defaults_datasets_and_chosen_systems(con: Connection, vectors: Vectors) -> None:
    everywhere = con.sql(
        "SELECT dataset, n FROM dimensions(models := ['far'], k := 5) ORDER BY ALL"
    ).fetchall()
    assert everywhere == [("crystals", 60), ("molecules", 40)]
    null = ", ".join(
        f"{option} := NULL" for option in ("measure", "method", "normalize", "subsamples", "seed")
    )
    assert rows_of(con, f"FROM dimensions('crystals', {null})") == rows_of(
        con, "FROM dimensions('crystals')"
    )
    some = "(SELECT list(system_id) FROM systems WHERE system_id > 'crystals/029')"
    row = rows_of(
        con, f"FROM dimensions('crystals', ['far'], measure := 'effective_rank', systems := {some})"
    )["far"]
    assert (row["n"], row["k"]) == (30, None)
    assert row["value"] == pytest.approx(effective_rank(vectors["far"][30:]), rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "measure := 'effective_rnk'",
            "unknown measure 'effective_rnk'; did you mean 'effective_rank'?",
        ),
        ("method := 'twon'", "did you mean 'twonn'?"),
        (
            "measure := 'effective_rank', method := 'mle'",
            "unknown method of effective_rank 'mle'; there are: entropy",
        ),
        (
            "measure := 'effective_rank', k := 5",
            "effective_rank has no neighbors, but k = 5 was asked for",
        ),
        ("k := 1", "k = 1, expected at least 2 neighbors"),
        ("subsamples := 1", "subsamples = 1, expected 0, or 2 and more"),
        ("normalize := 'zscor'", "did you mean 'zscore'?"),
        ("models := ['fer']", "did you mean 'far'?"),
        ("'crystal'", "did you mean 'crystals'?"),
    ],
)
def test_a_wrong_argument_is_answered_with_the_nearest_right_one(
    con: Connection, arguments: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException) as caught:
        con.sql(f"FROM dimensions({arguments})").fetchall()
    assert message in str(caught.value)


def test_the_layers_of_a_model_have_depths(layers: Connection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="no layers of wide pooled by their std"):
        rows_of(layers, "FROM dimensions('crystals', models := ['wide#layers:std'])")
    rows = rows_of(
        layers, "FROM dimensions('crystals', k := 10, models := ['deep#layers', 'deep'])"
    )
    assert {name: row["depth"] for name, row in rows.items()} == {
        "deep#layer-0": 0,
        "deep#layer-1": pytest.approx(1 / 3),
        "deep#layer-2": pytest.approx(2 / 3),
        "deep#layer-3": 1,
        "deep": None,
    }
    seen = make_layers("deep", DATASETS["crystals"])[1]
    assert rows["deep#layer-1"]["value"] == pytest.approx(intrinsic_dimension(seen, k=10))


def test_a_dataset_without_layers_has_no_values(layers: Connection) -> None:
    sql = "SELECT n, reason FROM dimensions('molecules', models := ['tall#layers'])"
    assert layers.sql(sql).fetchall() == [(0, "no vectors on molecules")] * LAYERS["tall"]


def test_layers_of_another_pooling_are_models_to_align_with(layers: Connection) -> None:
    rows = layers.sql(
        "SELECT model_id FROM nearest_models('wide', 'crystals', k := 5, permutations := 0, "
        "models := ['deep#layers:std', 'tall#layer-19'])"
    ).fetchall()
    std = {f"deep#layer-{i}:std" for i in (1, 2, 3)}
    assert {name for (name,) in rows} == {*std, "tall#layer-19"}
