"""Loading the vectors of a run against writing the same file, and what they take on disk."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.imported import Checked, ImportedVectors, describe, write_files
from ingest.runs.load import load
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset
from tests.bench.report import Row
from tests.bench.stores import vectors
from zoo.worker.tables import VECTORS, VECTORS_OPTIONS
from zoo.worker.vector_files import rows_per_group

SYSTEMS, DIMENSIONS, REPEATS = 50_000, 512, 5
FLOATS = SYSTEMS * DIMENSIONS * 4  # bytes


def run() -> Iterator[Row]:
    """Yield both measures. The first load, which also loads the dataset, is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder) / "bench.duckdb")
        layout.dataset("made").parent.mkdir(parents=True)
        dataset = materialize(_dataset(), layout.dataset("made"))
        ours, rival, sizes = [], [], []
        for number in range(REPEATS + 1):
            made = _write_run(layout, dataset, f"model-{number}")
            table = pq.read_table(made.out / "vectors-00000.parquet")
            rival.append(_seconds_to_write(table, layout.data / "rival.parquet"))
            before = layout.store.stat().st_size if number else 0
            start = time.perf_counter()
            load(layout, made, log=str)
            ours.append(time.perf_counter() - start)
            sizes.append(layout.store.stat().st_size - before + _size(made.out))
        size = _size(layout.vectors) / (REPEATS + 1) + statistics.median(sizes[1:])
    name = f"{SYSTEMS:,} × {DIMENSIONS}"
    measure = f"load a run of {name} / write the same Parquet by pyarrow"
    yield Row(measure, statistics.median(ours[1:]), statistics.median(rival[1:]), "s", 1.3)
    yield Row(f"bytes on disk of {name} / bytes of float32", size / 1e6, FLOATS / 1e6, "MB", 1.1)


def _dataset() -> Dataset:
    def entries() -> Iterator[Entry]:
        draw = np.random.default_rng(0)
        for i in range(SYSTEMS):
            sequence = "".join(draw.choice(list("ACDEFGHIKLMNPQRSTVWY"), size=30))
            yield Entry(f"made-{i:06}", sequence=sequence)

    return Dataset("made", "Made up", "made up", "CC0-1.0", ("numpy",), entries, (__file__,))


def _write_run(layout: Layout, dataset: MaterializedDataset, model_id: str) -> Run:
    """Write the folder of a run, as a worker leaves it."""
    made = Run.of(layout, f"{model_id}--made--{0:012}")
    rows = pa.array(vectors(hash(model_id) % 1000, SYSTEMS, DIMENSIONS).ravel())
    ends = pa.array(np.arange(0, FLOATS // 4 + 1, DIMENSIONS, dtype=np.int32))
    found = Checked(DIMENSIONS, 0.0, SYSTEMS, datetime.now(UTC))
    imported = ImportedVectors(model_id, Path(__file__))
    with duckdb.connect() as connection:
        lists = pa.ListArray.from_arrays(ends, rows)
        table = pa.table({"row": np.arange(SYSTEMS), "vector": lists})
        connection.register("imported", table)
        connection.execute(
            "CREATE TABLE known AS SELECT row_number() OVER () - 1 AS row, system_id, content_hash "
            "FROM read_parquet(?)",
            [str(dataset.systems)],
        )
        files = write_files(connection, made, imported, dataset, found)
    describe(made, imported, dataset, found, files)
    return made


def _seconds_to_write(table: pa.Table, path: Path) -> float:
    start = time.perf_counter()
    with pq.ParquetWriter(path, VECTORS, **VECTORS_OPTIONS) as writer:
        writer.write_table(table.cast(VECTORS), row_group_size=rows_per_group(DIMENSIONS))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - start


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
