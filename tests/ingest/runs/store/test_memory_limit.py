"""What DuckDB may take grows slowly with the systems, and by itself where it is not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.runs.store import memory_limit, run_tables
from ingest.runs.store.memory_limit import bytes_per_row, use_one_thread
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError
from schemas.store import connect

Finish = Callable[..., Run]
Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Contents = Callable[[Path], dict[str, list[str]]]


def test_a_load_that_runs_out_of_memory_gets_more(
    layout: Layout,
    dataset: Make,
    planned: Planned,
    finish: Finish,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = finish(planned(dataset(20)).run)
    load(layout, run)
    found = contents(layout.store)
    layout.store.unlink()
    connect(layout.store).close()
    monkeypatch.setattr(memory_limit, "ONE_THREAD_MB", 1)
    monkeypatch.setattr(run_tables, "MEMORY_TIMES", (1,))
    with pytest.raises(StoreError, match="could not be written and is as it was: .*[Mm]emory"):
        load(layout, run)
    monkeypatch.setattr(run_tables, "MEMORY_TIMES", (1, 4, 64))
    load(layout, run)
    assert contents(layout.store) == found


def test_the_limit_grows_with_systems_vectors_and_rows(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        limits = []
        for given in ((0,), (256_000,), (0, 4096), (0, 0, 40_000), (0, 0, 0, 4)):
            use_one_thread(connection, *given)
            query = "SELECT current_setting('memory_limit'), current_setting('threads')"
            limits.append(connection.execute(query).fetchone())
    assert limits == [
        ("30.5 MiB", 1),
        ("50.5 MiB", 1),
        ("152.5 MiB", 1),
        ("185.9 MiB", 1),
        ("122.0 MiB", 1),
    ]
    pq.write_table(pa.table({"a": [float(i) for i in range(1000)]}), tmp_path / "a.parquet")
    assert 8 <= bytes_per_row(tmp_path / "a.parquet") <= 24
