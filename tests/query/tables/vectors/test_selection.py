"""FROM selection(...): systems that cover a dataset."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import query
from tests.query.stores import make

Connection = duckdb.DuckDBPyConnection


def test_each_is_the_farthest_from_those_before(
    con: Connection, vectors: dict[str, NDArray[np.float32]]
) -> None:
    rows = con.sql("""
        SELECT rank, system_id, formula, distance * typical, radius * typical, n, n_distinct
        FROM selection('base', n := 5, start := ['crystals/017'], dataset := 'crystals')
    """).fetchall()
    unit = vectors["base"].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    distances = cdist(unit, unit)
    taken = [17]
    for rank, system, formula, distance, radius, n, n_distinct in rows:
        left = distances[:, taken].min(axis=1)
        if rank > 1:
            assert distance == pytest.approx(left.max())
            taken.append(int(np.argmax(left)))
        assert (system, formula) == (f"crystals/{taken[-1]:03d}", f"X{taken[-1]:03d}")
        assert radius == pytest.approx(distances[:, taken].min(axis=1).max())
        assert (n, n_distinct) == (60, 60)
    assert len(rows) == 5
    assert rows[0][3] is None


def test_of_copies_one_is_taken_and_a_start_may_be_the_second(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    x[6:] = x[:6]
    with query.connect(make(tmp_path / "matter.duckdb", {"m": x})) as con:
        asked = "SELECT system_id, radius FROM selection('m', 99, {}, dataset := 'many')"
        rows = con.sql(asked.format("['many/00008', 'many/00001']")).fetchall()
        assert [row[0] for row in rows[:2]] == ["many/00008", "many/00001"]
        assert {row[0] for row in rows[2:]} == {f"many/{i:05d}" for i in (0, 3, 4, 5)}
        assert rows[-1][1] == 0
        with pytest.raises(duckdb.InvalidInputException, match="some systems of start apart"):
            con.sql(asked.format("['many/00008', 'many/00002']")).fetchall()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("'base', n := 0, dataset := 'crystals'", "n = 0, expected at least 1"),
        (
            "'base', n := 1, start := ['a', 'b'], dataset := 'crystals'",
            "n = 1, expected at least the 2 systems of start",
        ),
        (
            "'base', start := ['crystals/0017'], dataset := 'crystals'",
            "start: base has no vector of 'crystals/0017' here; did you mean 'crystals/0",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(con: Connection, asked: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM selection({asked})").fetchall()


def test_a_constant_model_has_a_reason(con: Connection) -> None:
    asked = "SELECT rank, n, reason FROM selection('constant', dataset := 'crystals')"
    ((rank, n, reason),) = con.sql(asked).fetchall()
    assert (rank, n) == (None, 60)
    assert reason.startswith("every vector of constant is the same")
