"""Which systems a limit means."""

from __future__ import annotations

import tracemalloc

import duckdb

from ingest.systems import sample


def test_the_order_of_a_sample_is_pinned() -> None:
    """It must never change: every number from a sample depends on it."""
    assert sample.first_ids((f"gdb_{i}" for i in range(1, 133_886)), 3) == [
        "gdb_132568",
        "gdb_64545",
        "gdb_21952",
    ]


def test_the_order_is_the_same_in_sql() -> None:
    names = [f"{i % 7}/é {i}" for i in range(500)]
    rows = [(f"set/{name}",) for name in names]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (system_id VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?)", rows)
        ordered = connection.execute(f"FROM t ORDER BY {sample.ORDER_IN_SQL}").fetchall()
    assert [name for (name,) in ordered] == [f"set/{name}" for name in sample.first_ids(names, 500)]


def test_a_larger_sample_contains_a_smaller_one_in_any_order_of_the_source() -> None:
    names = [f"n{i}" for i in range(1000)]
    large = sample.first_ids(names, 300)
    assert sample.first_ids(reversed(names), 100) == large[:100]
    assert sample.first_ids(names, 200, after=sample.rank(large[99])) == large[100:300]


def test_a_sample_holds_only_what_it_asks_for() -> None:
    """A source of a million ids, twice as large as the first, takes no more memory."""

    def peak(n: int) -> int:
        tracemalloc.start()
        assert len(sample.first_ids((f"id-{i:09}" for i in range(n)), 500)) == 500
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = peak(20_000), peak(40_000)
    assert large < 1.1 * small
    assert large < 1_000_000
