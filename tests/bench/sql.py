"""SQL alignments from a store on disk, by aggregate and by name, against the same metric on arrays in memory."""

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
BY_NAME = "SELECT value FROM alignment('a', 'b', dataset := 'bench', metric := '{metric}', permutations := 0)"


def vectors(seed: int) -> np.ndarray:
    """Two models that share 32 latent directions."""
    shared = np.random.default_rng(0).standard_normal((SYSTEMS, 32))
    own = np.random.default_rng(seed)
    mixed = shared @ own.standard_normal((32, DIMENSIONS)) + 2 * own.standard_normal((SYSTEMS, DIMENSIONS))
    return mixed.astype(np.float32)


def fill(store: Path, models: dict[str, np.ndarray]) -> None:
    connection = connect(store, read_only=False)
    connection.execute(
        "INSERT INTO datasets VALUES ('bench', 'bench', 'made', 'none', ?, 0, '', NULL, now())", [SYSTEMS]
    )
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
        connection.execute(
            "INSERT INTO models VALUES (?, 'bench', ?, 'any', 'v', NULL, NULL, NULL, NULL, 'none', 'none', '{}', '')",
            [model_id, model_id],
        )
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
            aggregate, by_name, rival = median_seconds(
                [
                    lambda metric=metric: connection.sql(AGGREGATE.format(metric=metric)).fetchone(),
                    lambda metric=metric: connection.sql(BY_NAME.format(metric=metric)).fetchone(),
                    lambda metric=metric: align(a, b, metric),
                ]
            )
            against = f"store on disk / arrays, {SYSTEMS} × {DIMENSIONS}"
            yield Row(f"aggregate {metric}(a, b), {against}", aggregate, rival, "s", 1.25)
            yield Row(f"FROM alignment(… '{metric}'), {against}", by_name, rival, "s", 1.25)
        connection.close()
