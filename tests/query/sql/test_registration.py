"""Layer 1: the metrics as aggregates over any rows that a query selects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import query
from query.metrics import METRICS, Undefined, align
from query.reading.vectors import lists_to_table
from query.sql.aggregates import canonical_order
from query.sql.macros import signatures
from zoo import terminal

K = 5
PAIRS = """
    FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
    WHERE a.representation = 'last' AND b.representation = 'last'
"""

Vectors = dict[str, NDArray[np.float32]]


def options(metric: str) -> str:
    return f", k := {K}" if METRICS[metric].uses_k else ""


def one(con: duckdb.DuckDBPyConnection, sql: str) -> object:
    rows = con.sql(sql).fetchall()
    assert len(rows) == 1
    return rows[0][0]


def value_of(
    con: duckdb.DuckDBPyConnection, metric: str, a: str, b: str, more: str = ""
) -> float | None:
    where = (
        f"{PAIRS} AND a.model_id = '{a}' AND b.model_id = '{b}' "
        f"AND starts_with(system_id, 'crystals/')"
    )
    call = f"{metric}(a.vector, b.vector{options(metric)}{more})"
    return one(con, f"SELECT {call} {where}")  # type: ignore[return-value]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("other", ["near", "far", "noise"])
def test_an_aggregate_is_the_metric(
    con: duckdb.DuckDBPyConnection, vectors: Vectors, metric: str, other: str
) -> None:
    assert value_of(con, metric, "base", other) == pytest.approx(
        expected(vectors, other, metric), abs=1e-12
    )


def expected(vectors: Vectors, other: str, metric: str, **options: str | None) -> float | None:
    """The metric of base and another in the order in which an aggregate sees rows.

    reconstruction_error depends on it.
    """
    a, b = vectors["base"], vectors[other]
    order = canonical_order(a, b)
    return align(a[order], b[order], metric, k=K, **options).value


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("same", ["base", "rotated", "scaled", "partial"])
def test_the_same_geometry_is_the_best_there_is(
    con: duckdb.DuckDBPyConnection, metric: str, same: str
) -> None:
    best = 0 if METRICS[metric].lower_is_closer else 1
    if metric == "information_imbalance":
        best = (K + 1) / (50 if same == "partial" else 60)
    assert value_of(con, metric, "base", same) == pytest.approx(best, abs=1e-5)


def test_information_imbalance_has_a_direction(
    con: duckdb.DuckDBPyConnection, vectors: Vectors
) -> None:
    sql = (
        f"SELECT information_imbalance({{}}, k := 1) {PAIRS} AND a.model_id = 'base' "
        f"AND b.model_id = 'near'"
    )
    forth, back = (
        one(con, f"{sql.format(sides)} AND starts_with(system_id, 'crystals/')")
        for sides in ("a.vector, b.vector", "b.vector, a.vector")
    )
    assert forth == pytest.approx(
        align(vectors["base"], vectors["near"], "information_imbalance").value, abs=1e-12
    )
    assert back == pytest.approx(
        align(vectors["near"], vectors["base"], "information_imbalance").value, abs=1e-12
    )
    assert forth != back


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("other", ["constant", "ragged", "poisoned", "empty"])
def test_what_is_undefined_is_null(con: duckdb.DuckDBPyConnection, metric: str, other: str) -> None:
    assert value_of(con, metric, "base", other) is None
    assert value_of(con, metric, other, "base") is None


@pytest.mark.parametrize("metric", METRICS)
def test_options_reach_the_metric(
    con: duckdb.DuckDBPyConnection, vectors: Vectors, metric: str
) -> None:
    for estimator in METRICS[metric].estimators or (None,):
        for normalize in ("l2", "max", "zscore", "none"):
            given = f", normalize := '{normalize}'" + (
                f", estimator := '{estimator}'" if estimator else ""
            )
            right = expected(vectors, "far", metric, estimator=estimator, normalize=normalize)
            assert value_of(con, metric, "base", "far", given) == pytest.approx(right, abs=1e-12)


def test_null_options_are_defaults(con: duckdb.DuckDBPyConnection) -> None:
    sql = (
        f"FROM (SELECT a.vector a, b.vector b {PAIRS} AND a.model_id = 'base' "
        f"AND b.model_id = 'far')"
    )
    named = one(con, f"SELECT cknna(a, b, k := NULL, estimator := NULL, normalize := NULL) {sql}")
    assert named == one(con, f"SELECT cknna(a, b) {sql}")
    assert one(con, f"SELECT intrinsic_dimension(a, k := NULL, method := NULL) {sql}") == one(
        con, f"SELECT intrinsic_dimension(a) {sql}"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cknna(vector, vector, k := 0)", "k = 0, expected at least 1"),
        ("cknna(vector, vector, k := 2.5)", "k = 2.5, expected a whole number"),
        ("intrinsic_dimension(vector, k := 'ten')", "k = ten, expected a whole number"),
        ("intrinsic_dimension(vector, method := 'mla')", "did you mean 'mle'"),
        ("cknna(vector, vector, estimator := 'unbiasd')", "did you mean 'unbiased'"),
        ("cka(vector, vector, normalize := 'zscor')", "did you mean 'zscore'"),
    ],
)
@pytest.mark.parametrize("where", ["true", "false"])
def test_senseless_options_are_errors_even_without_rows(
    con: duckdb.DuckDBPyConnection, call: str, message: str, where: str
) -> None:
    with pytest.raises(
        duckdb.InvalidInputException, match=f"^Invalid Input Error: [^\n]*{message}[^\n]*$"
    ):
        con.sql(f"SELECT {call} FROM embeddings WHERE {where}").fetchall()


def test_group_by_having_order_by(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.sql(f"""
        SELECT s.dataset, b.model_id, cknna(a.vector, b.vector, k := {K}) AS value, count(*) AS n
        FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
            JOIN systems s USING (system_id)
        WHERE a.model_id = 'base' AND a.representation = 'last' AND b.representation = 'last'
        GROUP BY ALL HAVING value > 0.5 ORDER BY dataset, model_id
    """).fetchall()
    assert [row[:2] for row in rows] == [
        (dataset, model)
        for dataset in ("crystals", "molecules")
        for model in ("base", "near", "partial", "rotated", "scaled", "stale")
    ]
    assert {row[1]: row[3] for row in rows if row[0] == "crystals"} == {
        "base": 60, "near": 60, "partial": 50, "rotated": 60, "scaled": 60, "stale": 55,
    }  # fmt: skip


def test_a_row_with_a_null_on_either_side_is_skipped(con: duckdb.DuckDBPyConnection) -> None:
    pairs = (
        f"{PAIRS} AND a.model_id = 'base' AND b.model_id = 'far' "
        f"AND starts_with(system_id, 'crystals/')"
    )
    some = "system_id > 'crystals/019'"
    skipped = one(
        con, f"SELECT cknna(CASE WHEN {some} THEN a.vector END, b.vector, k := {K}) {pairs}"
    )
    also = one(con, f"SELECT cknna(a.vector, CASE WHEN {some} THEN b.vector END, k := {K}) {pairs}")
    assert (
        skipped
        == also
        == one(con, f"SELECT cknna(a.vector, b.vector, k := {K}) {pairs} AND {some}")
    )
    assert one(con, f"SELECT cknna(NULL, b.vector) {pairs}") is None


def test_it_is_an_expression_like_any_other(con: duckdb.DuckDBPyConnection) -> None:
    pairs = (
        f"{PAIRS} AND a.model_id = 'base' AND b.model_id = 'base' "
        f"AND starts_with(system_id, 'crystals/')"
    )
    text = one(
        con,
        f"SELECT printf('%.2f of %d', 2 * cknna(a.vector, b.vector, k := {K}), count(*)) {pairs}",
    )
    assert text == "2.00 of 60"


@pytest.mark.parametrize("kind", ["DOUBLE[]", "FLOAT[16]", "DOUBLE[16]"])
def test_other_types_of_vectors(con: duckdb.DuckDBPyConnection, kind: str) -> None:
    pairs = (
        f"{PAIRS} AND a.model_id = 'base' AND b.model_id = 'far' "
        f"AND starts_with(system_id, 'crystals/')"
    )
    cast = one(con, f"SELECT cknna(a.vector::{kind}, b.vector::{kind}, k := {K}) {pairs}")
    assert cast == value_of(con, "cknna", "base", "far")


@pytest.fixture
def far_from_zero(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Vectors of mean 1e7 and spread 3, beside the same ones shifted.

    float32 holds hardly a digit of them.
    """
    rows = (1e7 + np.random.default_rng(3).normal(scale=3, size=(200, 6))).tolist()
    con.register("rows", pa.table({"a": pa.array(rows, pa.list_(pa.float64()))}))
    con.execute("CREATE OR REPLACE TEMP TABLE exact AS SELECT a, [x + 3 FOR x IN a] AS b FROM rows")
    return con


@pytest.mark.parametrize("metric", ["rsa", "cka", "mutual_knn", "distance_correlation"])
@pytest.mark.parametrize("kind", ["DOUBLE[]", "DOUBLE[6]", "DECIMAL(18, 9)[]"])
def test_doubles_are_compared_as_doubles(
    far_from_zero: duckdb.DuckDBPyConnection, metric: str, kind: str
) -> None:
    sql = f"SELECT {metric}(a::{{}}, b::{{}}, normalize := 'none') FROM exact"
    assert one(far_from_zero, sql.format(kind, kind)) == pytest.approx(1, abs=1e-6)
    assert one(far_from_zero, sql.format("FLOAT[]", kind)) != pytest.approx(1, abs=1e-3)


def test_measures_of_doubles_are_of_doubles(far_from_zero: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT effective_rank(a::{}) FROM exact"
    shifted = one(far_from_zero, "SELECT effective_rank([x - 1e7 FOR x IN a]) FROM exact")
    assert one(far_from_zero, sql.format("DOUBLE[]")) == pytest.approx(shifted, rel=1e-9)
    assert one(far_from_zero, sql.format("FLOAT[]")) != pytest.approx(shifted, rel=1e-6)


@pytest.mark.parametrize("kind", ["INTEGER[]", "TINYINT[]", "HUGEINT[]", "DECIMAL(9, 2)[]"])
def test_whole_numbers_of_any_type_are_the_same_vectors(
    con: duckdb.DuckDBPyConnection, kind: str
) -> None:
    whole = (
        f"{PAIRS} AND a.model_id = 'base' AND b.model_id = 'far' "
        f"AND starts_with(system_id, 'crystals/')"
    )
    rounded = (
        f"(SELECT [round(x * 9) FOR x IN a.vector] a, [round(x * 9) FOR x IN b.vector] b {whole})"
    )
    right = one(con, f"SELECT cka(a::FLOAT[], b::FLOAT[]) FROM {rounded}")
    assert one(con, f"SELECT cka(a::{kind}, b::{kind}) FROM {rounded}") == pytest.approx(
        right, abs=1e-12
    )


def test_filter_distinct_and_over_are_refused(con: duckdb.DuckDBPyConnection) -> None:
    for suffix in (
        "(vector, vector) FILTER (WHERE true)",
        "(DISTINCT vector, vector)",
        "(vector, vector) OVER ()",
    ):
        with pytest.raises(
            duckdb.Error, match='"cknna" is a Macro.*FILTER|__cknna is not an aggregate'
        ):
            con.sql(f"SELECT cknna{suffix} FROM embeddings").fetchall()


@pytest.fixture
def many(store_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """150,000 rows in 20 groups, enough for DuckDB to use its threads; one in thirty has b.

    The vectors are of integers, which makes ties.
    """
    with query.connect(store_path) as connection:
        rng = np.random.default_rng(0)
        rows = 150_000
        table = {
            "bucket": pa.array(rng.integers(0, 20, rows)),
            "place": pa.array(rng.permutation(rows)),
        }
        for name in "ab":
            numbers = pa.array(rng.integers(1, 4, rows * 4).astype(np.float32))
            table[name] = pa.ListArray.from_arrays(
                pa.array(np.arange(0, rows * 4 + 1, 4, dtype=np.int32)), numbers
            )
        connection.register("arriving", pa.table(table))
        connection.execute(
            "CREATE TEMP TABLE many AS SELECT * REPLACE (if(place % 30 = 0, b, NULL) AS b) "
            "FROM arriving"
        )
        yield connection


def test_threads_and_order_change_no_bit(many: duckdb.DuckDBPyConnection) -> None:
    values = ", ".join(f"{metric}(a, b{options(metric)})" for metric in ("cknna", *METRICS))
    sql = f"SELECT bucket, {values} FROM {{}} GROUP BY bucket ORDER BY bucket"
    answers = []
    for threads, rows in ((1, "many"), (4, "many"), (4, "(FROM many ORDER BY place)")):
        many.execute(f"SET threads = {threads}")
        answers.append(many.sql(sql.format(rows)).fetchall())
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 20
    assert all(None not in row for row in answers[0])
    assert abs(np.mean([cknna for _, cknna, *_ in answers[0]])) < 0.2


def test_many_small_groups_each_have_their_own_value(
    con: duckdb.DuckDBPyConnection,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    rng = np.random.default_rng(2)
    tables = {
        name: rng.normal(size=(120, 5, width)).astype(np.float32)
        for name, width in (("a", 3), ("b", 2))
    }
    lists = {
        name: pa.array(table.reshape(600, -1).tolist(), pa.list_(pa.float32()))
        for name, table in tables.items()
    }
    con.register("rows", pa.table({"bucket": np.arange(600) // 5, **lists}))
    found = con.sql(
        "SELECT cka(a, b), mutual_knn(a, b, k := 2) FROM rows GROUP BY bucket ORDER BY bucket"
    ).fetchall()
    for (cka, mutual_knn), a, b in zip(found, *tables.values(), strict=True):
        assert cka == pytest.approx(align(a, b, "cka").value, abs=1e-12)
        assert mutual_knn == pytest.approx(align(a, b, "mutual_knn", k=2).value, abs=1e-12)
    assert "comparing groups, 120 at a time: 50 % done" in capfd.readouterr().err


def test_every_function_says_what_it_takes_and_does(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.sql("""
        SELECT DISTINCT function_name, comment FROM duckdb_functions()
        WHERE database_name = 'temp' AND NOT internal AND NOT starts_with(function_name, '__')
    """).fetchall()
    assert dict(rows).keys() == signatures().keys() >= METRICS.keys()
    assert all(comment for _, comment in rows)
    assert (
        signatures()["mutual_knn"] == "mutual_knn(a, b, k := 25, normalize := 'l2', rows := NULL)"
    )


def lists(rows: list[list[float | None] | None]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.float32()))


def test_dense_is_a_view() -> None:
    array = lists([[9, 9], [1, 2], [3, 4]])[1:]
    found = lists_to_table(array, "a")
    assert found.tolist() == [[1, 2], [3, 4]]
    assert np.shares_memory(found, array.values.to_numpy())
    assert lists_to_table(lists([]), "a").shape == (0, 0)
    assert np.isnan(lists_to_table(lists([[1, None]]), "a")).tolist() == [[False, True]]


def test_dense_refuses_unequal_lengths() -> None:
    with pytest.raises(Undefined, match=r"vectors of base differ in length \(1 to 2\)"):
        lists_to_table(lists([[1, 2], [3]]), "base")


@pytest.mark.parametrize("values", ["normal", "integers", "bits"])
def test_canonical_order_depends_on_content_alone(values: str) -> None:
    rng = np.random.default_rng(1)
    draw: dict[str, NDArray[np.float64]] = {
        "normal": rng.normal(size=(2_000, 7)),
        "integers": rng.integers(0, 9, (2_000, 7)).astype(float),
        "bits": rng.integers(0, 2, (2_000, 64)).astype(float),
    }
    a = np.unique(draw[values], axis=0).astype(np.float32)
    b = rng.normal(size=(len(a), 3)).astype(np.float32)
    shuffled = rng.permutation(len(a))
    order, again = canonical_order(a, b), canonical_order(a[shuffled], b[shuffled])
    assert np.array_equal(a[order], a[shuffled][again])
    assert np.array_equal(order, canonical_order(b, a))
