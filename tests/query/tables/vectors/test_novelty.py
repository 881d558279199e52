"""FROM novelty(...): how far systems are from a reference."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from tests.query.conftest import make_vectors

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]


def test_distances_are_to_the_kth_nearest_of_the_reference(
    con: Connection, vectors: Vectors
) -> None:
    rows = con.sql("""
        SELECT system_id, formula, distance, p_value, nearest, in_reference, n, k
        FROM novelty('base', reference := 'crystals', dataset := 'molecules', k := 3)
    """).fetchall()
    unit, others = (
        table / np.linalg.norm(table, axis=1, keepdims=True)
        for table in (vectors["base"].astype(float), make_vectors("molecules")["base"])
    )
    distances = cdist(others, unit)
    assert [row[2] for row in rows] == pytest.approx(np.sort(np.sort(distances)[:, 2])[::-1])
    for system, formula, _, p, nearest, inside, n, k in rows:
        place = int(system.removeprefix("molecules/"))
        assert formula == f"X{place:03d}"
        assert nearest == f"crystals/{np.argmin(distances[place]):03d}"
        assert (inside, n, k) == (False, 60, 3)
        assert 1 / 61 <= p <= 1


def test_a_system_of_the_reference_is_judged_by_the_rest(con: Connection) -> None:
    every = con.sql("""
        SELECT distance, p_value FROM novelty('base', dataset := 'crystals') ORDER BY ALL
    """).fetchall()
    distances = np.array([distance for distance, _ in every])
    assert [p for _, p in every] == [(distances >= one).mean() for one in distances]
    half = con.sql("""
        SELECT system_id, in_reference, n FROM novelty(
            'base', dataset := 'crystals', method := 'mahalanobis', normalize := 'none',
            systems := ['crystals/000', 'crystals/059'],
            reference_systems := ['crystals/000', 'crystals/001', 'crystals/002', 'crystals/003']
        ) ORDER BY ALL
    """).fetchall()
    assert half == [("crystals/000", True, 4), ("crystals/059", False, 4)]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("'constant', dataset := 'crystals'", "every vector of constant is the same"),
        ("'ragged', dataset := 'crystals'", "differ in length"),
        ("'empty', dataset := 'crystals'", "no vectors of empty on systems of crystals"),
        ("'base', dataset := 'crystals', k := 60", "has 60 systems; 'knn' needs 61 with k = 60"),
        ("'base', dataset := 'crystals', systems := ['x']", "no vectors of base on systems"),
    ],
)
def test_what_cannot_be_judged_has_a_reason(con: Connection, asked: str, reason: str) -> None:
    (row,) = con.sql(
        f"SELECT system_id, distance, p_value, reason FROM novelty({asked})"
    ).fetchall()
    assert row[:3] == (None, None, None)
    assert reason in row[3]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("'base'", "say which dataset"),
        ("'base', dataset := 'crystals', reference := 'crystal'", "did you mean 'crystals'"),
        ("'base', dataset := 'crystals', method := 'kn'", "did you mean 'knn'"),
        ("'base', dataset := 'crystals', normalize := 'zscore'", "unknown normalization 'zscore'"),
        (
            "'base', dataset := 'crystals', method := 'mahalanobis', k := 3",
            "'mahalanobis' has no neighbors, but k = 3",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(con: Connection, asked: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM novelty({asked})").fetchall()
