"""Layer 2: alignments of the store's models by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import query
from query.metrics import METRICS, Alignment, align
from query.sql.output import error_sentence
from tests.vectors import add_query

K = 5
HOW = f"dataset := 'crystals', k := {K}"
COLUMNS = (
    "model_a", "model_b", "dataset", "value", "calibrated", "p_value", "n", "n_distinct",
    "dropped_a", "dropped_b", "metric", "estimator", "normalization", "k", "null_mean", "null_std",
    "low", "high", "standard_error", "rows", "given", "given_share_a", "given_share_b",
    "given_shuffled", "warning", "reason",
)  # fmt: skip
NUMBERS = (
    "value", "null_mean", "null_std", "p_value", "calibrated", "low", "high", "standard_error",
)  # fmt: skip

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]


@pytest.fixture
def writable(store_path: Path, tmp_path: Path) -> Iterator[Connection]:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as connection:
        yield connection


def rows_of(con: Connection, sql: str) -> list[dict[str, Any]]:
    return con.sql(sql).to_arrow_table().to_pylist()


def row_of(con: Connection, sql: str) -> dict[str, Any]:
    rows = rows_of(con, sql)
    assert len(rows) == 1
    return rows[0]


def assert_same(row: dict[str, Any], expected: Alignment) -> None:
    for column in NUMBERS:
        assert row[column] == pytest.approx(getattr(expected, column), abs=1e-12), column
    for column in ("reason", "warning", "metric", "estimator", "k", "n", "rows"):
        assert row[column] == getattr(expected, column), column
    assert row["normalization"] == expected.normalization


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Without the digits that depend on which models are summed together."""
    return row | {
        column: None if row[column] is None else round(row[column], 10) for column in NUMBERS
    }


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_is_the_alignment_of_the_arrays(
    con: Connection, vectors: Vectors, metric: str
) -> None:
    row = row_of(con, f"FROM alignment('base', 'near', {HOW}, metric := '{metric}')")
    assert tuple(row) == COLUMNS
    assert_same(row, align(vectors["base"], vectors["near"], metric, k=K, permutations=100))
    assert (row["model_a"], row["model_b"], row["dataset"]) == ("base", "near", "crystals")
    assert (row["dropped_a"], row["dropped_b"]) == (0, 0)


def test_every_option_reaches_the_metric(con: Connection, vectors: Vectors) -> None:
    given = (
        "estimator := 'centered', normalize := 'max', permutations := 30, "
        "subsamples := 20, seed := 7"
    )
    row = row_of(con, f"FROM alignment('base', 'far', {HOW}, {given})")
    how = {
        "estimator": "centered",
        "normalize": "max",
        "permutations": 30,
        "subsamples": 20,
        "seed": 7,
    }
    assert row["low"] < row["value"] < row["high"]
    assert_same(row, align(vectors["base"], vectors["far"], "cknna", k=K, **how))


def test_null_options_are_defaults(con: Connection) -> None:
    names = (
        "metric",
        "k",
        "estimator",
        "normalize",
        "permutations",
        "subsamples",
        "seed",
        "device",
        "systems",
        "rows",
    )
    nulls = ", ".join(f"{name} := NULL" for name in names)
    asked = "FROM alignment('base', 'near', dataset := 'crystals'"
    assert rows_of(con, f"{asked}, {nulls})") == rows_of(con, f"{asked})")


def test_without_permutations_there_is_no_null(con: Connection) -> None:
    row = row_of(con, f"FROM alignment('base', 'near', {HOW}, permutations := 0)")
    assert row["value"] is not None
    assert row["null_mean"] is row["null_std"] is row["p_value"] is row["calibrated"] is None


@pytest.mark.parametrize("metric", METRICS)
def test_k_is_the_metrics_own_unless_given(con: Connection, metric: str) -> None:
    row = row_of(
        con,
        f"FROM alignment('base', 'near', dataset := 'crystals', metric := '{metric}', k := NULL)",
    )
    assert row["k"] == (METRICS[metric].default_k if METRICS[metric].uses_k else None)


@pytest.mark.parametrize(
    "metrics", ["'information_imbalance, cka'", "['information_imbalance', 'cka']"]
)
def test_several_metrics_at_once(con: Connection, metrics: str) -> None:
    rows = rows_of(
        con, f"FROM alignment_matrix({HOW}, models := ['base', 'far'], metric := {metrics})"
    )
    assert [(row["metric"], row["k"]) for row in rows] == 4 * [("information_imbalance", K)] + 4 * [
        ("cka", None)
    ]
    for row in rows:
        pair = f"'{row['model_a']}', '{row['model_b']}'"
        alone = row_of(con, f"FROM alignment({pair}, {HOW}, metric := '{row['metric']}')")
        assert (row.pop("place_a"), row.pop("place_b")) == (None, None)
        assert rounded(row) == rounded(alone)


def test_vectors_of_very_different_lengths_are_warned_of(writable: Connection) -> None:
    stretched = "[x * if(system_id = 'crystals/007', 100, 1) FOR x IN vector] AS vector"
    add_query(
        writable,
        f"SELECT * REPLACE ('uneven' AS model_id, {stretched}) FROM embeddings "
        "WHERE model_id = 'near'",
    )
    writable.execute(
        "INSERT INTO models SELECT * REPLACE ('uneven' AS model_id) FROM models "
        "WHERE model_id = 'near'"
    )
    asked = f"FROM alignment('base', 'uneven', {HOW}, normalize := '{{}}')"
    assert row_of(writable, asked.format("none"))["warning"].startswith(
        "vectors of uneven differ much in length"
    )
    assert row_of(writable, asked.format("l2"))["warning"] is None


def test_both_layers_agree(con: Connection) -> None:
    aggregated = con.sql(f"""
        SELECT b.model_id, cknna(a.vector, b.vector, k := {K}), count(*)
        FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
        WHERE a.model_id = 'base' AND a.representation = 'last' AND b.representation = 'last'
          AND starts_with(system_id, 'crystals/') GROUP BY ALL
    """).fetchall()
    matrix = rows_of(con, f"FROM alignment_matrix({HOW}, permutations := 0) WHERE model_a = 'base'")
    by_name = {row["model_b"]: row for row in matrix}
    assert by_name.keys() == {model for model, _, _ in aggregated}
    for model, value, n in aggregated:
        assert by_name[model]["value"] == pytest.approx(value, abs=1e-12)
        assert by_name[model]["n"] == n


def test_systems_missing_on_either_side_are_dropped_and_counted(
    con: Connection, vectors: Vectors
) -> None:
    partial = row_of(con, f"FROM alignment('partial', 'near', {HOW})")
    assert (partial["n"], partial["dropped_a"], partial["dropped_b"]) == (50, 0, 10)
    assert_same(
        partial, align(vectors["near"][10:], vectors["partial"][10:], k=K, permutations=100)
    )


def test_systems_whose_content_differs_are_not_compared(con: Connection, vectors: Vectors) -> None:
    stale = row_of(con, f"FROM alignment('near', 'stale', {HOW})")
    assert (stale["n"], stale["dropped_a"], stale["dropped_b"]) == (55, 5, 5)
    assert_same(stale, align(vectors["near"][5:], vectors["stale"][5:], k=K, permutations=100))
    both = row_of(con, f"FROM alignment('partial', 'stale', {HOW})")
    assert (both["n"], both["dropped_a"], both["dropped_b"]) == (50, 0, 10)


def test_chosen_systems(con: Connection, vectors: Vectors) -> None:
    chosen = "systems := (SELECT list(system_id) FROM systems WHERE formula > 'X039')"
    row = row_of(con, f"FROM alignment('base', 'near', {HOW}, {chosen})")
    assert_same(row, align(vectors["base"][40:], vectors["near"][40:], k=K, permutations=100))
    assert row["dropped_a"] == 0
    nothing = row_of(con, f"FROM alignment('base', 'near', {HOW}, systems := [])")
    assert (nothing["value"], nothing["n"]) == (None, 0)
    assert (
        nothing["reason"]
        == "nothing in common: no vectors of base or near on the chosen systems of crystals"
    )


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ("constant", "every vector of constant is the same"),
        ("ragged", "the vectors of ragged differ in length (15 to 16)"),
        ("poisoned", "row 3 of poisoned is not finite"),
        ("empty", "nothing in common: no vectors of empty on crystals"),
    ],
)
@pytest.mark.parametrize("sides", ["'base', '{}'", "'{}', 'base'"])
def test_what_is_undefined_is_null_with_a_reason(
    con: Connection, sides: str, other: str, reason: str
) -> None:
    row = row_of(con, f"FROM alignment({sides.format(other)}, {HOW})")
    assert row["value"] is row["p_value"] is row["null_mean"] is row["calibrated"] is None
    assert reason in row["reason"]


def test_too_few_systems(con: Connection) -> None:
    row = row_of(con, "FROM alignment('base', 'near', dataset := 'crystals', k := 60)")
    assert row["value"] is None
    assert row["reason"] == "n = 60 systems in common, but k = 60 needs at least 61"


def test_without_a_dataset_there_is_a_row_for_each(con: Connection) -> None:
    rows = rows_of(con, f"FROM alignment('base', 'near', k := {K})")
    assert [row["dataset"] for row in rows] == ["crystals", "molecules"]
    assert [row["n"] for row in rows] == [60, 40]
    assert rows[0] == row_of(con, f"FROM alignment('base', 'near', {HOW})")
    assert rows_of(con, "FROM alignment('empty', 'empty')") == []


def test_grouping_and_joining_its_rows(con: Connection) -> None:
    rows = con.sql(f"""
        SELECT dataset, d.n_systems, count(*) AS pairs, max(value) < 1.1 AS bounded
        FROM alignment_matrix(k := {K}, permutations := 0) JOIN datasets d USING (dataset)
        WHERE model_a < model_b GROUP BY ALL ORDER BY dataset
    """).fetchall()
    assert rows == [("crystals", 60, 55, True), ("molecules", 40, 55, True)]


def test_a_matrix_can_be_pivoted(con: Connection) -> None:
    pairs = (
        f"FROM alignment_matrix({HOW}, models := ['base', 'constant', 'rotated'], "
        f"permutations := 0)"
    )
    pivoted = con.sql(
        f"PIVOT ({pairs}) ON model_b USING first(round(value, 5)) GROUP BY model_a ORDER BY model_a"
    )
    assert pivoted.columns == ["model_a", "base", "constant", "rotated"]
    assert pivoted.fetchall() == [
        ("base", 1, None, 1),
        ("constant", None, None, None),
        ("rotated", 1, None, 1),
    ]


def test_arguments_may_come_from_a_table(con: Connection) -> None:
    rows = con.sql(f"""
        SELECT m.model_id, a.value FROM models m, alignment('base', m.model_id, {HOW},
            permutations := 0) a
        WHERE m.model_id IN ('base', 'near') ORDER BY ALL
    """).fetchall()
    assert rows[0] == ("base", pytest.approx(1))
    assert 0.5 < rows[1][1] < 1


@pytest.mark.parametrize("metric", METRICS)
def test_a_matrix_has_every_ordered_pair(con: Connection, metric: str) -> None:
    models = ["base", "noise", "partial"]
    rows = rows_of(con, f"FROM alignment_matrix({HOW}, metric := '{metric}', models := {models})")
    assert [(row["model_a"], row["model_b"]) for row in rows] == [
        (a, b) for a in models for b in models
    ]
    assert all((row.pop("place_a"), row.pop("place_b")) == (None, None) for row in rows)
    by_pair = {(row["model_a"], row["model_b"]): row for row in rows}
    for a in models:
        for b in models:
            alone = row_of(con, f"FROM alignment('{a}', '{b}', {HOW}, metric := '{metric}')")
            assert rounded(by_pair[a, b]) == rounded(alone)
            same = by_pair[a, b]["value"] == by_pair[b, a]["value"]
            assert same == (METRICS[metric].symmetric or a == b or {a, b} == {"base", "partial"})
            assert by_pair[a, b]["dropped_a"] == by_pair[b, a]["dropped_b"]


CUT = {  # which rows each pair has in common, by hand
    ("partial", "stale"): np.arange(10, 60),
    ("partial", "near"): np.arange(10, 60),
    ("near", "stale"): np.arange(5, 60),
    ("near", "far"): np.arange(60),
}


@pytest.mark.parametrize("normalize", ["l2", "zscore"])
@pytest.mark.parametrize("metric", METRICS)
def test_each_pair_is_compared_on_what_it_shares(
    con: Connection, vectors: Vectors, metric: str, normalize: str
) -> None:
    how = (
        f"{HOW}, metric := '{metric}', normalize := '{normalize}', permutations := 5, "
        f"subsamples := 5"
    )
    matrix = rows_of(
        con, f"FROM alignment_matrix({how}, models := ['partial', 'stale', 'near', 'far'])"
    )
    by_pair = {(row["model_a"], row["model_b"]): row for row in matrix}
    for (a, b), rows in CUT.items():
        # Which side is shuffled for the null of a symmetric metric does not depend on the order
        # asked for.
        first, second = sorted((a, b)) if METRICS[metric].symmetric else (a, b)
        cut = (vectors[first][rows], vectors[second][rows])
        expected = align(*cut, metric, k=K, normalize=normalize, permutations=5, subsamples=5)
        assert_same(by_pair[a, b], expected)


@pytest.mark.parametrize("metric", METRICS)
def test_in_common_every_metric_has_the_same_n(
    con: Connection, vectors: Vectors, metric: str
) -> None:
    how = f"{HOW}, metric := '{metric}', permutations := 0, missing := 'common'"
    matrix = rows_of(
        con, f"FROM alignment_matrix({how}, models := ['partial', 'stale', 'near', 'far'])"
    )
    assert {row["n"] for row in matrix} == {50}
    for row in matrix:
        cut = (vectors[row[side]][10:] for side in ("model_a", "model_b"))
        assert row["value"] == pytest.approx(align(*cut, metric, k=K).value, abs=1e-12)


def test_common_compares_all_on_the_same_systems(con: Connection, vectors: Vectors) -> None:
    models = ["base", "near", "partial", "empty"]
    rows = rows_of(
        con,
        f"FROM alignment_matrix({HOW}, models := {models}, missing := 'common', permutations := 0)",
    )
    with_vectors = [row for row in rows if "empty" not in (row["model_a"], row["model_b"])]
    assert {row["n"] for row in with_vectors} == {50}
    assert {row["reason"] for row in rows if row not in with_vectors} == {
        f"nothing in common: no vectors of {'empty'} on crystals"
    }
    pair = next(row for row in rows if (row["model_a"], row["model_b"]) == ("base", "near"))
    assert pair["value"] == pytest.approx(
        align(vectors["base"][10:], vectors["near"][10:], k=K).value, abs=1e-12
    )
    assert (pair["dropped_a"], pair["dropped_b"]) == (10, 10)


def test_a_matrix_without_names_holds_default_representations_with_vectors(con: Connection) -> None:
    rows = rows_of(con, f"FROM alignment_matrix({HOW}, permutations := 0)")
    expected = {
        "base",
        "constant",
        "far",
        "near",
        "noise",
        "partial",
        "poisoned",
        "ragged",
        "rotated",
        "scaled",
        "stale",
    }
    assert {row["model_a"] for row in rows} == expected
    assert len(rows) == len(expected) ** 2


def test_a_representation_of_its_own(con: Connection, vectors: Vectors) -> None:
    row = row_of(con, f"FROM alignment('base#all', 'base#last', {HOW})")
    assert (row["model_a"], row["model_b"]) == ("base#all", "base")
    # Which side is shuffled for the null does not depend on the order asked for.
    assert_same(row, align(vectors["base#all"], vectors["base"], k=K, permutations=100))
    assert row["value"] == row_of(con, f"FROM alignment('base', 'base#all', {HOW})")["value"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("alignment('bose', 'near')", "no model 'bose' in this store; did you mean 'base'?"),
        ("alignment('base', NULL)", "no model '' in this store, which has: base, constant"),
        (
            "alignment('base#al', 'near')",
            "no representation of base 'al' in this store; did you mean 'all'?",
        ),
        (
            "alignment('near#x', 'base')",
            "no representation of near 'x' in this store, which has: last",
        ),
        (
            "alignment('base', 'near', dataset := 'crystal')",
            "no dataset 'crystal' in this store; did you mean 'crys",
        ),
        (
            "alignment('base', 'near', metric := 'cknn')",
            "unknown metric 'cknn'; did you mean 'cknna'?",
        ),
        (
            "alignment('base', 'near', metric := 'cka', estimator := 'biasd')",
            "did you mean 'biased'?",
        ),
        ("alignment('base', 'near', normalize := 'zscor')", "did you mean 'zscore'?"),
        ("alignment('base', 'near', k := 0)", "k = 0, expected at least 1"),
        ("alignment('base', 'near', permutations := -1)", "permutations = -1, expected 0 or more"),
        ("alignment_matrix(models := ['base', 'fer'])", "did you mean 'far'?"),
        ("alignment_matrix(missing := 'comon')", "did you mean 'common'?"),
        ("alignment('base', 'near', subsamples := 1)", "subsamples = 1, expected 0, or 2 and more"),
        (
            "alignment('base', 'near', device := 'gpu')",
            "unknown device 'gpu', expected 'cpu', 'cuda' or 'cuda:1'",
        ),
        ("alignment('base', 'near', metric := ['cka', 'mutual_kn'])", "did you mean 'mutual_knn'?"),
        ("dimensions(method := 'twon')", "did you mean 'twonn'?"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_answered_with_the_nearest_right_one(
    con: Connection, sql: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException) as caught:
        con.sql(f"FROM {sql}").fetchall()
    assert message in str(caught.value)


ASKED = {
    "alignment": "FROM alignment('base', 'near', device := {})",
    "alignment_matrix": "FROM alignment_matrix(models := ['base', 'near'], device := {})",
    "alignment_curve": "FROM alignment_curve('base', 'near', device := {})",
    "nearest_models": "FROM nearest_models('base', device := {})",
    "model_tree": "FROM model_tree(dataset := 'crystals', device := {})",
    "convergence": (
        "FROM convergence(dataset := 'crystals', reference := 'base', "
        "score := 'energy_mae', device := {})"
    ),
    "kinship": "FROM kinship(dataset := 'crystals', device := {})",
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_device_that_is_not_there_is_one_clear_error(
    con: Connection, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = f"no device 'cuda:99': torch sees {torch.cuda.device_count()} NVIDIA GPUs; use 'cpu'"
    with pytest.raises(duckdb.InvalidInputException, match=message) as caught:
        con.sql(asked.format("'cuda:99'")).fetchall()
    assert error_sentence(caught.value) == message
    monkeypatch.setenv("MATTERZOO_DEVICE", "cuda:99")
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(asked.format("NULL")).fetchall()
    assert con.sql(asked.format("'cpu'")).fetchall()


@pytest.mark.gpu
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_gpu_gives_what_the_cpu_gives(con: Connection, asked: str) -> None:
    for metric in ("cknna", "cka") if "model_tree" in asked else METRICS:
        answers = [
            rows_of(con, asked.format(f"'{device}', metric := '{metric}'"))
            for device in ("cpu", "cuda")
        ]
        for cpu, cuda in zip(*answers, strict=True):
            assert cuda == near(cpu)


def near(value: Any) -> Any:
    """What equals a value whose numbers differ by rounding, also those within lists and rows."""
    if isinstance(value, dict):
        return {name: near(each) for name, each in value.items()}
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value, abs=1e-6) if isinstance(value, float) else value


def test_two_vectors_of_one_system_are_refused(writable: Connection) -> None:
    add_query(writable, "FROM embeddings WHERE model_id = 'near' AND system_id = 'crystals/003'")
    with pytest.raises(
        duckdb.InvalidInputException, match="near has two vectors of one system of crystals"
    ):
        writable.sql(f"FROM alignment('base', 'near', {HOW})").fetchall()


def test_explaining_does_not_run_it(con: Connection) -> None:
    con.sql("EXPLAIN FROM alignment('no such', 'model')").fetchall()
    assert con.sql("FROM alignment('no such', 'model')").columns == list(COLUMNS)


def test_order_of_the_stored_rows_and_threads_change_nothing(con: Connection) -> None:
    sql = f"FROM alignment_matrix({HOW}, models := ['base', 'far', 'noise', 'partial'])"
    con.execute("SET threads = 1")
    once = rows_of(con, sql)
    con.execute("SET threads = 4")
    assert rows_of(con, sql) == once


def test_connections_in_threads_answer_alike(store_path: Path) -> None:
    answers = []

    def ask() -> None:
        with query.connect(store_path) as con:
            answers.append(rows_of(con, f"FROM alignment('base', 'near', {HOW})"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
