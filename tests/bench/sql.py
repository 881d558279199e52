"""SQL alignments from a store on disk, by aggregate and by name, against arrays in memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import torch
from numpy.typing import NDArray

import query
from query.metrics import METRICS, align
from tests.bench.report import Row
from tests.bench.stores import add, create, vectors

Clock = Callable[[], float]

SYSTEMS, DIMENSIONS, REPEATS = 10_000, 512, 3
GROUP, GROUPED = 5, ("cka", "mutual_knn")  # systems of a small group, and metrics of such groups
AGGREGATE = """
    SELECT {metric}(a.vector, b.vector)
    FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
    WHERE a.model_id = 'a' AND b.model_id = 'b'
"""
# What no aggregate over the store does without: DuckDB reads the two columns, and nothing else.
COLUMNS = """
    SELECT count(a.vector), count(b.vector)
    FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
    WHERE a.model_id = 'a' AND b.model_id = 'b'
"""
BY_GROUP = """
    SELECT {metric}(a.vector, b.vector{k})
    FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
    WHERE a.model_id = 'a' AND b.model_id = 'b'
    GROUP BY right(system_id, 5)::INTEGER // {group}
"""
BY_NAME = """
    SELECT value
    FROM alignment('a', 'b', dataset := 'bench', metric := '{metric}', permutations := 0)
"""


def median_seconds(calls: list[Callable[[], object]], clock: Clock) -> list[float]:
    """Return the median seconds of each call.

    The calls take turns, so that a drift of the machine meets each alike; the first round is a
    warm-up.
    """
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS + 1):
        for times, call in zip(taken, calls, strict=True):
            start = clock()
            call()
            times.append(clock() - start)
    return [statistics.median(times[1:]) for times in taken]


def run(metrics: Sequence[str] = tuple(METRICS), *, one_thread: bool = False) -> Iterator[Row]:
    """Yield the rows.

    Args:
        metrics: The metrics.
        one_thread: Whether all is done in one thread, of which the processor's time is taken: for a
            machine on which others work.
    """
    clock: Clock = time.perf_counter
    if one_thread:
        torch.set_num_threads(1)
        clock = time.process_time
    a, b = (vectors(seed, SYSTEMS, DIMENSIONS) for seed in (1, 2))
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        with create(store, SYSTEMS) as filling:
            add(filling, "a", a)
            add(filling, "b", b)
        connection = query.connect(store)
        if one_thread:
            connection.execute("SET threads = 1")
        for metric in metrics:
            aggregate, by_name, rival, columns = median_seconds(
                [
                    lambda metric=metric: connection.sql(
                        AGGREGATE.format(metric=metric)
                    ).fetchone(),
                    lambda metric=metric: connection.sql(BY_NAME.format(metric=metric)).fetchone(),
                    lambda metric=metric: align(a, b, metric),
                    lambda: connection.sql(COLUMNS).fetchone(),
                ],
                clock,
            )
            size = f"arrays, {SYSTEMS:,} × {DIMENSIONS}"
            floor = (rival + columns) / rival
            yield Row(
                f"aggregate {metric}(a, b) / {size}",
                aggregate,
                rival,
                "s",
                1.25,
                f"DuckDB reads the two columns, and the metric over arrays: {floor:.3f}",
            )
            yield Row(f"alignment(… '{metric}') / {size}", by_name, rival, "s", 1.25)
        yield from _by_group(connection, a, b, clock)
        connection.close()


def _by_group(
    connection: duckdb.DuckDBPyConnection,
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    clock: Clock,
) -> Iterator[Row]:
    """Yield many small groups in SQL against the same groups one by one in Python."""
    starts = range(0, SYSTEMS, GROUP)
    for metric in GROUPED:
        k = 2 if METRICS[metric].uses_k else None
        sql = BY_GROUP.format(metric=metric, group=GROUP, k="" if k is None else f", k := {k}")
        ours, rival = median_seconds(
            [
                lambda sql=sql: connection.sql(sql).fetchall(),
                lambda metric=metric, k=k: [
                    align(a[i : i + GROUP], b[i : i + GROUP], metric, k=k) for i in starts
                ],
            ],
            clock,
        )
        measure = f"{metric}(a, b) of {len(starts):,} groups of {GROUP} / one by one in Python"
        yield Row(measure, ours, rival, "s", 1.5)
