"""FROM duplicates(...): groups of systems that a model cannot tell apart."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

import query
from query.tables.vectors.duplicates import group_duplicates
from tests.query.stores import make


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_groups_are_the_components_of_the_graph_of_close_pairs(tolerance: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, 3)) + 5
    x[40:60] = x[:20]  # copies
    x[60:70] = x[:10] + 0.01 * rng.normal(size=(10, 3))
    found = group_duplicates(x, tolerance, "none")
    distances = cdist(x, x)
    typical = np.sqrt(np.square(distances).sum() / (80 * 79))
    assert found.typical == pytest.approx(typical)
    count, label = connected_components(distances <= tolerance * typical)
    assert found.label.max() + 1 == count
    assert (found.label[:, None] == found.label).tolist() == (label[:, None] == label).tolist()
    first = [np.flatnonzero(label == each)[0] for each in label]
    assert found.distance * typical == pytest.approx(distances[np.arange(80), first], abs=1e-9)


def test_without_a_tolerance_they_are_what_float32_cannot_tell_apart() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    x[30:] = np.nextafter(x[:10], np.float32(9))
    found = group_duplicates(x, 0.0, "none")
    assert found.label.max() == 29
    assert (found.label[30:] == found.label[:10]).all()
    assert (found.distance == 0).all()


def test_rows_are_the_systems_of_groups(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    x[[4, 7, 9]], x[20] = x[2], x[11] * 3  # of the same direction
    with query.connect(make(tmp_path / "matter.duckdb", {"m": x})) as con:
        asked = "SELECT group_id, system_id, size, n, n_distinct FROM duplicates('m', {})"
        rows = con.sql(asked.format("dataset := 'many'")).fetchall()
        assert rows == [
            *((1, f"many/{i:05d}", 4, 30, 26) for i in (2, 4, 7, 9)),
            *((2, f"many/{i:05d}", 2, 30, 26) for i in (11, 20)),
        ]
        apart = con.sql(asked.format("dataset := 'many', normalize := 'none'")).fetchall()
        assert {row[0] for row in apart} == {1}
        few = "dataset := 'many', systems := ['many/00001', 'many/00002']"
        assert con.sql(asked.format(few)).fetchall() == []


def test_what_has_no_answer_is_null_or_refused(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = con.sql("""
        SELECT group_id, n, tolerance, reason FROM duplicates('constant', dataset := 'crystals')
    """).fetchall()
    assert row == (None, 60, 0.001, "every vector of constant is the same after 'l2' normalization")
    for tolerance in ("-1", "'inf'::DOUBLE"):
        with pytest.raises(duckdb.InvalidInputException, match="expected 0 or more"):
            con.sql(f"FROM duplicates('base', {tolerance}, dataset := 'crystals')").fetchall()
