"""FROM probe_alignment(…): whether alignment goes with what can be read from vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

import query
from query.statistics.rank_correlation import spearman
from schemas import store
from tests.query.stores import DATASET, make

Connection = duckdb.DuckDBPyConnection

NOISE = (0.1, 0.5, 1.0, 2.0, 4.0)  # of m0, m1, …: the more, the less of the label and of others


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Five models of three families that see the same with more and more noise; two twins."""
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(50, 4))
    tables: dict[str, NDArray[np.float32]] = {
        f"m{i}": (np.hstack([seen, seen]) + noise * rng.normal(size=(50, 8))).astype(np.float32)
        for i, noise in enumerate(NOISE)
    }
    for name in ("t0", "t1", "composition"):
        tables[name] = rng.normal(size=(50, 6)).astype(np.float32)
    path = make(tmp_path_factory.mktemp("graded") / "matter.duckdb", tables)
    ids = [f"{DATASET}/{i:05d}" for i in range(50)]
    with store.connect(path) as connection:
        connection.execute(
            "INSERT INTO systems (system_id, dataset, content_hash, formula) "
            "SELECT DISTINCT system_id, $d, content_hash, system_id FROM embeddings",
            {"d": DATASET},
        )
        connection.executemany(
            "INSERT INTO labels VALUES (?, 'seen', ?, 'eV', 'lab')",
            list(zip(ids, seen[:, 0].tolist(), strict=True)),
        )
        connection.execute(
            "UPDATE models SET family = CASE WHEN model_id < 'm1' THEN 'descriptors' "
            "WHEN model_id IN ('m1', 'm3', 't1') THEN 'b' WHEN model_id = 'm4' THEN 'c' ELSE 'a' "
            "END, untrained_of = CASE model_id WHEN 't0' THEN 'm2' WHEN 't1' THEN 'm1' END, "
            "parameters = CASE WHEN model_id < 'm0' THEN 0 END"
        )
        connection.execute("UPDATE models SET family = 'a' WHERE model_id = 'm0'")
    with query.connect(path) as connection:
        yield connection


def rows_of(con: Connection, sql: str) -> list[dict[str, Any]]:
    return con.sql(sql).to_arrow_table().to_pylist()


def test_alignment_and_probes_go_together_where_both_fall_with_noise(graded: Connection) -> None:
    how = "k := 5, permutations := 9, groups := 'formula'"
    rows = rows_of(graded, f"FROM probe_alignment('seen', {how})")
    found = {(row["alignment"], row["left_out"]): row for row in rows}
    kinds = ("value", "calibrated", "given", "beyond twin")
    assert list(found) == [(kind, out) for kind in kinds for out in (None, "a", "b", "c")]
    whole = found["value", None]
    assert whole["spearman"] > 0.8
    assert (whole["n_models"], whole["n_families"], whole["score"]) == (5, 3, "r2")
    assert whole["warning"].startswith("5 models of 3 families: ")
    assert found["given", None]["given"] == "composition" and found["value", "a"]["n_models"] == 3
    assert found["beyond twin", None]["reason"] == (
        "2 trained models have a probe and an alignment with other families and twins"
    )
    probed = rows_of(graded, "FROM probe('seen', permutations := 0, groups := 'formula')")
    scores = {row["model_id"]: row["value"] for row in probed}
    matrix = rows_of(graded, f"FROM alignment_matrix('{DATASET}', k := 5, permutations := 9)")
    families = {"m0": "a", "m2": "a", "m1": "b", "m3": "b", "m4": "c"}
    means = [
        np.mean(
            [
                row["value"]
                for row in matrix
                if row["model_a"] == model
                and families.get(row["model_b"], families[model]) != families[model]
            ]
        )
        for model in families
    ]
    expected = spearman(means, [scores[model] for model in families])
    assert expected is not None and whole["spearman"] == pytest.approx(expected[0])


def test_what_is_carried_over_is_set_against_alignment(graded: Connection) -> None:
    how = "k := 5, permutations := 0, quality := ['transfer'], groups := 'formula'"
    rows = rows_of(graded, f"FROM probe_alignment('seen', models := ['m0', 'm1', 'm4'], {how})")
    found = {(row["alignment"], row["left_out"]): row for row in rows}
    whole = found["value", None]
    assert (whole["quality"], whole["score"], whole["n_models"]) == ("transfer", "r2", 3)
    assert found["value", "a"]["n_models"] == 2 and found["value", "a"]["spearman"] is None
    gains = [
        np.mean(
            [
                graded.sql(
                    f"SELECT difference FROM transfer('{a}', '{b}', 'seen', map := ['linear'], "
                    "permutations := 0, groups := 'formula') LIMIT 1"
                ).fetchall()[0][0]
                for b in ("m0", "m1", "m4")
                if a != b
            ]
        )
        for a in ("m0", "m1", "m4")
    ]
    assert gains[0] > gains[1] > gains[2]  # as noise grows
    means = graded.sql(
        f"SELECT avg(value) FROM alignment_matrix('{DATASET}', k := 5, permutations := 0, "
        "models := ['m0', 'm1', 'm4']) WHERE model_a != model_b GROUP BY model_a ORDER BY model_a"
    ).fetchall()
    expected = spearman([mean for (mean,) in means], gains)
    assert expected is not None and whole["spearman"] == pytest.approx(expected[0])
    with pytest.raises(duckdb.InvalidInputException, match="unknown quality 'transfers'"):
        graded.sql("FROM probe_alignment('seen', quality := ['transfers'])").fetchall()


def test_one_metric_and_a_label_that_there_is(graded: Connection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="probe_alignment takes one metric"):
        graded.sql("FROM probe_alignment('seen', metric := 'cka, rsa')").fetchall()
    with pytest.raises(duckdb.InvalidInputException, match="did you mean 'seen'"):
        graded.sql("FROM probe_alignment('sen')").fetchall()
