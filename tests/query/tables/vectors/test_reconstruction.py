"""FROM reconstruction(…): vectors of one model from those of another."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

Connection = duckdb.DuckDBPyConnection

_JOINED = """
SELECT list_distance(r.vector, e.vector) AS apart, sqrt(list_sum(list_transform(
           e.vector, lambda x: x * x))) AS length, r.*
FROM reconstruction({}) r JOIN embeddings e
ON e.system_id = r.system_id AND e.model_id = r.model_b AND e.representation = 'last'
"""


def test_a_rotated_copy_is_reconstructed_to_rounding(labeled: Connection) -> None:
    for kind, most in {"orthogonal": 1e-6, "linear": 1e-5}.items():
        asked = f"'rotated', 'base', 'crystals', map := '{kind}'"
        rows = labeled.sql(_JOINED.format(asked)).to_arrow_table().to_pylist()
        assert len(rows) == 60 and {row["fold"] for row in rows} == set(range(5))
        for row in rows:
            assert row["residual"] < most * row["length"]
            assert row["apart"] == pytest.approx(row["residual"], rel=1e-3)
        assert rows[0]["explained"] == pytest.approx(1, abs=1e-9)


def test_noise_tells_nothing_and_a_near_model_much(labeled: Connection) -> None:
    found = {}
    for model in ("noise", "near"):
        for kind in ("linear", "anchors"):
            asked = f"'{model}', 'base', 'crystals', map := '{kind}', normalize := 'zscore'"
            rows = labeled.sql(f"FROM reconstruction({asked})").to_arrow_table().to_pylist()
            left = np.mean([row["residual"] for row in rows])
            found[model, kind] = left / np.mean([row["from_mean"] for row in rows])
            told = {row["explained"] for row in rows}.pop()
            squares = [sum(row[name] ** 2 for row in rows) for name in ("residual", "from_mean")]
            assert told == pytest.approx(1 - squares[0] / squares[1])
    assert min(found["noise", "linear"], found["noise", "anchors"]) > 0.95
    assert found["near", "linear"] < 0.6 and found["near", "anchors"] < 0.95


def test_the_maps_are_those_of_transfer(labeled: Connection) -> None:
    """On the same systems, in the same folds, they explain the same share."""
    how = "'crystals', map := {}, normalize := 'none', groups := 'kind', folds := 4"
    shares = labeled.sql(
        "SELECT map, mapped FROM transfer('near', 'far', 'kind', "
        f"{how.format('NULL')}, permutations := 0) WHERE mapped IS NOT NULL AND vectors = 'near'"
    ).fetchall()
    assert [kind for kind, _ in shares] == ["linear", "orthogonal"]
    for kind, share in shares:
        asked = how.format(f"'{kind}'")
        rows = labeled.sql(
            "SELECT DISTINCT explained, n, n_groups, warning "
            f"FROM reconstruction('near', 'far', {asked})"
        ).fetchall()
        warning = "3 systems have no kind to be grouped by"
        assert rows == [(pytest.approx(share), 57, 6, warning)]


def test_what_is_undefined_has_a_reason_and_what_is_wrong_an_answer(labeled: Connection) -> None:
    for asked, reason in {
        "'constant', 'base', 'crystals'": "every vector of constant is the same",
        "'base', 'empty', 'crystals'": "0 systems have vectors of both models, expected 10",
        "'base', 'near', 'crystals', groups := 'high'": "groups := 'high' makes 2 parts of these",
    }.items():
        ((vector, why),) = labeled.sql(
            f"SELECT vector, reason FROM reconstruction({asked})"
        ).fetchall()
        assert vector is None and reason in why
    for asked, message in {
        "'base', 'near', 'crystals', map := 'liner'": "did you mean 'linear'",
        "'base', 'near', 'crystals', normalize := 'l3'": "unknown normalization 'l3'",
        "'base', 'near'": "say which dataset",
    }.items():
        with pytest.raises(duckdb.InvalidInputException, match=message):
            labeled.sql(f"FROM reconstruction({asked})").fetchall()
