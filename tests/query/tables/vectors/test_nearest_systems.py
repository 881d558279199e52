"""FROM nearest_systems(...): the systems that a model sees as most like one."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]


def test_nearest_systems_have_the_largest_cosine(con: Connection, vectors: Vectors) -> None:
    rows = con.sql(
        "FROM nearest_systems('base', 'crystals/007', k := 4, dataset := 'crystals')"
    ).fetchall()
    unit = vectors["base"].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit[7]
    best = [i for i in np.argsort(-cosine) if i != 7][:4]
    assert rows == [
        (rank, f"crystals/{i:03d}", f"X{i:03d}", pytest.approx(cosine[i]))
        for rank, i in enumerate(best, start=1)
    ]


def test_nearest_systems_come_from_all_datasets_unless_told(con: Connection) -> None:
    counted = con.sql("""
        SELECT split_part(system_id, '/', 1) AS dataset, count(*)
        FROM nearest_systems('base', 'molecules/001', k := 1000) GROUP BY 1 ORDER BY 1
    """).fetchall()
    assert counted == [("crystals", 60), ("molecules", 39)]
    across = con.sql(
        "FROM nearest_systems('base', 'molecules/001', dataset := 'crystals')"
    ).fetchall()
    assert len(across) == 10
    assert all(row[1].startswith("crystals/") for row in across)


def test_systems_seen_as_equal_come_by_name(con: Connection) -> None:
    rows = con.sql("FROM nearest_systems('constant', 'crystals/001', k := 3)").fetchall()
    assert [row[1] for row in rows] == ["crystals/000", "crystals/002", "crystals/003"]
    assert [row[3] for row in rows] == [pytest.approx(1)] * 3


def test_an_undefined_cosine_is_null(con: Connection) -> None:
    last = con.sql(
        "FROM nearest_systems('poisoned', 'crystals/001', k := 99, dataset := 'crystals')"
    ).fetchall()[-1]
    assert last == (None, "crystals/003", "X003", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "'base', 'crystals/0007'",
            "no system 'crystals/0007' in this store; did you mean 'crystals/00",
        ),
        (
            "'partial', 'crystals/000'",
            r"partial has no vector of 'crystals/000' \(not_applicable: does not know Xx\)",
        ),
        ("'partial', 'crystals/001'", "partial has no vector of 'crystals/001'"),
        ("'bas', 'crystals/001'", "did you mean 'base'"),
        ("'base', 'crystals/001', k := 0", "k = 0, expected at least 1"),
        ("'base', 'crystals/001', dataset := 'molecule'", "did you mean 'molecules'"),
        ("'ragged', 'crystals/001'", r"vectors of ragged differ in length \(15 to 16\)"),
    ],
)
def test_nearest_systems_of_what_is_not_there(
    con: Connection, arguments: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM nearest_systems({arguments})").fetchall()
