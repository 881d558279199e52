"""Estimates from some rows: what their standard errors are worth, and a million systems.

The errors are held against a full pass over the same systems: each draw is of other rows. A million
systems are asked for from a store on disk, by a process of its own: `python -m tests.bench.rows
STORE ROWS` prints the seconds of each question, its peak memory and how many values it found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import query
from query.engine.neighbors.lists import Neighborhoods
from query.engine.rows.drawn import DrawnRows
from query.metrics import METRICS, Comparison
from query.metrics.shared.estimates import RowMetric
from query.statistics.interval import quantile
from tests.bench.engine import Size
from tests.bench.intervals import Covered
from tests.bench.paper import ROOT, make, peak_memory
from tests.bench.products import now
from tests.bench.report import Row
from tests.bench.stores import DATASET, vectors

SIZE = Size(8, 1_000_000, 256)
ROWS = 2000
MEMORY = 8.0  # GB resident, at most
PASSED = 50_000  # systems of the full pass
DRAWS, DRAWN = 200, 500  # draws against the full pass, and rows of each
WAYS = {"mutual_knn": None, "cknna": "centered"}
QUESTIONS = (
    "metric := 'mutual_knn'",
    "metric := 'cknna', estimator := 'centered'",
)
STRIP = 128  # rows whose bare products are made at a time


def run(size: Size, store: Path) -> Iterator[Row]:
    yield from errors(min(PASSED, size.systems), size.dimensions)
    make(store, size)
    rows = min(ROWS, size.systems)
    command = [sys.executable, "-m", "tests.bench.rows", str(store), str(rows)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    bare = strip_seconds(vectors(1, size.systems, size.dimensions), rows) * size.models
    note = f"{found['values']} values with null, from the store, one process for all questions"
    for question, seconds in found["seconds"].items():
        label = f"{question}, rows := {rows}, {size} / bare products"
        yield Row(label, seconds, bare, "s", None, note)
    yield Row("their peak resident memory / what is allowed", found["peak"], MEMORY, "GB", 1.0)


class _Passed(DrawnRows):
    """Drawn systems with the lists of a full pass; `test_rows.py` holds that they are the same."""

    def neighbors(self, i: int, geometry: str, k: int) -> Neighborhoods:
        return self.comparison.neighbors(i, geometry, k)


def errors(systems: int, dimensions: int) -> Iterator[Row]:
    """Yield the error that estimates claim, how they scatter about the full pass, and coverage."""
    tables = [vectors(seed, systems, dimensions) for seed in (1, 2)]
    comparison = Comparison(tables, k=25)
    estimates: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for seed in range(DRAWS):
        drawn = _Passed(comparison, DRAWN, seed=seed)
        for name, way in WAYS.items():
            metric = METRICS[name]
            assert isinstance(metric, RowMetric)
            found = metric.estimate(drawn, 0, 1, way)
            estimates[name].append((found.value, found.standard_error(systems) or 0.0))
    for name, way in WAYS.items():
        exact = comparison.value(METRICS[name], 0, 1, way)
        values, claimed = np.array(estimates[name]).T
        held = np.abs(values - exact) < quantile(DRAWN - 1) * claimed
        scatter = np.sqrt(np.square(values - exact).mean())
        note = f"full pass {exact:.5f}, mean of the draws {values.mean():.5f}"
        yield Covered(
            f"{name}, {DRAWN} rows of {systems:,}: claimed error / scatter",
            1e3 * float(np.sqrt(np.square(claimed).mean())),
            1e3 * float(scatter),
            "‰",
            None,
            note,
            float(held.mean()),
            DRAWS,
        )


def strip_seconds(table: NDArray[np.float32], rows: int) -> float:
    """Return the seconds for the products of some rows with all, which are thrown away."""
    x = torch.from_numpy(table)
    out = torch.zeros(STRIP, len(x))
    begin = now("cpu")
    for start in range(0, rows, STRIP):
        part = x[start : min(start + STRIP, rows)]
        torch.mm(part, x.T, out=out[: len(part)])
    return now("cpu") - begin


def answer(store: str, rows: str, questions: Sequence[str] = QUESTIONS) -> dict[str, Any]:
    seconds, values = {}, 0
    with query.connect(store) as connection:
        for question in questions:
            begin = time.perf_counter()
            sql = f"FROM alignment_matrix(dataset := '{DATASET}', {question}, rows := {rows})"
            found = connection.sql(f"SELECT value, p_value {sql}").fetchall()
            seconds[question] = time.perf_counter() - begin
            values += sum(None not in row for row in found)
    return {"seconds": seconds, "peak": peak_memory(), "values": values}


if __name__ == "__main__":
    print(json.dumps(answer(*sys.argv[1:])))
