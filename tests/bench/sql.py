"""A SQL alignment from a store on disk, against the same metric called directly on arrays in memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

import query
from query.metrics import METRICS, align
from schemas.store import connect
from tests.bench.report import Row

SYSTEMS, DIMENSIONS, REPEATS = 10_000, 512, 3
AGGREGATE = """
    SELECT {metric}(a.vector, b.vector) FROM embeddings a JOIN embeddings b USING (system_id, content_hash)
    WHERE a.model_id = 'a' AND b.model_id = 'b'
"""


def vectors(seed: int) -> np.ndarray:
    """Two models that share 32 latent directions."""
    shared = np.random.default_rng(0).standard_normal((SYSTEMS, 32))
    own = np.random.default_rng(seed)
    mixed = shared @ own.standard_normal((32, DIMENSIONS)) + 2 * own.standard_normal((SYSTEMS, DIMENSIONS))
    return mixed.astype(np.float32)


def fill(store: Path, models: dict[str, np.ndarray]) -> None:
    connection = connect(store, read_only=False)
    for model_id, rows in models.items():
        offsets = pa.array(np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32))
        table = pa.table(
            {
                "system_id": [f"bench/{i:05}" for i in range(len(rows))],
                "vector": pa.ListArray.from_arrays(offsets, pa.array(rows.ravel())),
            }
        )
        connection.register("incoming", table)
        connection.execute(
            "INSERT INTO embeddings SELECT system_id, ?, 'v', 'hash', 'bench', vector FROM incoming", [model_id]
        )
        connection.unregister("incoming")
    connection.close()


def median_seconds(calls: list[Callable[[], object]]) -> list[float]:
    """The calls in turn, so that a drift of the machine meets each alike; the first round is a warm-up."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS + 1):
        for times, call in zip(taken, calls, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in taken]


def run() -> Iterator[Row]:
    a, b = vectors(1), vectors(2)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        fill(store, {"a": a, "b": b})
        connection = query.connect(store)
        for metric in METRICS:
            ours, rival = median_seconds(
                [
                    lambda metric=metric: connection.sql(AGGREGATE.format(metric=metric)).fetchone(),
                    lambda metric=metric: align(a, b, metric),
                ]
            )
            measure = f"{metric} in SQL, store on disk / on arrays, {SYSTEMS} × {DIMENSIONS}"
            yield Row(measure, ours, rival, "s", 1.25)
        connection.close()
