"""What a probe of all models costs, against its limit and against scikit-learn's nested search."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit

import query
from query.statistics.probes.folds import assign_folds
from query.statistics.probes.ridge import PENALTIES
from query.tables.vectors.probe import probe
from tests.bench.engine import Size
from tests.bench.report import Row
from tests.bench.stores import DATASET, add, create, vectors

SIZE = Size(60, 10_000, 256)
LIMIT_SECONDS = 300.0  # for SIZE


def run(size: Size) -> Iterator[Row]:
    """Yield the processor's time of one thread for a probe by each method, and the rival's.

    Args:
        size: The models.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        tables = [vectors(i + 1, size.systems, size.dimensions) for i in range(size.models)]
        label = tables[0][:, :8].sum(axis=1).astype(np.float64)
        _fill(store, tables, label)
        with query.connect(store) as connection:
            some = [f"{DATASET}/{i:07}" for i in range(200)]
            how: dict[str, Any] = {"groups": "formula", "baselines": []}
            probe(connection, "label", systems=some, **how)  # imports what is slow
            taken = {}
            for method in ("ridge", "knn"):
                begin = time.process_time()
                found = probe(connection, "label", method=[method], **how)
                taken[method] = time.process_time() - begin
                assert all(row.value is not None for row in found)
    share = LIMIT_SECONDS * size.models / SIZE.models
    for method, seconds in taken.items():
        measure = f"probe by {method}, 100 shuffles, {size} / its share of 5 minutes"
        yield Row(measure, seconds, share, "s", 1.0)
    rival = _nested_search(tables[0], label)
    measure = "ridge of one model, 100 shuffles / scikit-learn's nested search without"
    yield Row(measure, taken["ridge"] / size.models, rival, "s", 1.0)


def _fill(store: Path, tables: list[NDArray[np.float32]], label: NDArray[np.float64]) -> None:
    ids = [f"{DATASET}/{i:07}" for i in range(label.size)]
    with create(store, label.size) as filling:
        for i, table in enumerate(tables):
            add(filling, f"m{i}", table)
        filling.execute(
            "INSERT INTO systems (system_id, dataset, content_hash, formula) "
            "SELECT unnest($ids::VARCHAR[]), $dataset, 'hash', unnest($ids::VARCHAR[])",
            {"ids": ids, "dataset": DATASET},
        )
        filling.execute(
            "INSERT INTO labels SELECT unnest(?::VARCHAR[]), 'label', unnest(?::DOUBLE[]), 'eV', "
            "'made'",
            [ids, label.tolist()],
        )


def _nested_search(table: NDArray[np.float32], label: NDArray[np.float64]) -> float:
    """Return how long scikit-learn takes for the same folds and penalties of one label, in s."""
    begin = time.process_time()
    x = table.astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    folds = assign_folds(np.arange(label.size), 5, 0)
    for fold in range(5):
        outer = folds != fold
        search = GridSearchCV(
            Ridge(), {"alpha": PENALTIES[:-1] * outer.sum()}, cv=PredefinedSplit(folds[outer])
        )
        search.fit(x[outer], label[outer]).predict(x[~outer])
    return time.process_time() - begin
