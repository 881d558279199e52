"""The macros for a DuckDB without our functions give what our functions give."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from query.metrics import cka, mutual_knn
from query.site.prompt import PAGE

Vectors = NDArray[np.float32]
N, K = 40, 7


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute((PAGE / "macros.sql").read_text())
        yield connection


def asked(connection: duckdb.DuckDBPyConnection, a: Vectors, b: Vectors) -> tuple[float, float]:
    rows = pa.table({"a": pa.array(list(a)), "b": pa.array(list(b))})
    found = connection.from_arrow(rows).aggregate(f"cka(a, b), mutual_knn(a, b, k := {K})")
    ((first, second),) = found.fetchall()
    return first, second


def pair(case: str) -> tuple[Vectors, Vectors]:
    """Vectors of two models: unrelated but for a shared part, or with ties, or a far mean."""
    random = np.random.default_rng(7)
    a = random.normal(size=(N, 12))
    b = np.hstack([a[:, :5], random.normal(size=(N, 9))])
    if case == "ties":
        a[10:20] = a[:10]
        b[25:] = b[0]
    if case == "far":
        a = a * 0.01 + 1.0
    return a.astype(np.float32), b.astype(np.float32)


@pytest.mark.parametrize("case", ["plain", "ties", "far"])
def test_macros_are_our_functions(connection: duckdb.DuckDBPyConnection, case: str) -> None:
    a, b = pair(case)
    found = asked(connection, a, b)
    assert found == pytest.approx((cka(a, b), mutual_knn(a, b, K)), abs=1e-9)
    assert all(0.001 < value < 0.98 for value in found)


def test_undefined_is_null(connection: duckdb.DuckDBPyConnection) -> None:
    a, b = pair("plain")
    assert asked(connection, np.ones_like(a), b) == (None, None)
    assert asked(connection, a, b * (np.arange(N) > 4)[:, None]) == (None, None)  # zeros
    assert asked(connection, a[:3], b[:3]) == (None, None)
    first, second = asked(connection, a[: K + 1], b[: K + 1])
    assert first is not None and second is None
    one_hot = np.eye(N, dtype=np.float32)
    assert asked(connection, one_hot, b)[0] is None


def test_rows_without_a_vector_are_left_out(connection: duckdb.DuckDBPyConnection) -> None:
    a, b = pair("plain")
    holes = [None if i in (2, 9) else row for i, row in enumerate(a)]
    rows = pa.table({"a": pa.array(holes), "b": pa.array(list(b))})
    ((found,),) = connection.from_arrow(rows).aggregate("cka(a, b)").fetchall()
    kept = [i for i in range(N) if i not in (2, 9)]
    assert found == pytest.approx(cka(a[kept], b[kept]), abs=1e-9)
