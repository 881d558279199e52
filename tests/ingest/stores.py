"""What tests of stores share: ids, and what a store or a folder holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.store.access import open_store, transaction
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.store import connect
from schemas.views import write_views

HOLD = """
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""
IDS = [f"s{i:04}" for i in range(20)]


def quiet(text: str) -> None:
    """Ignore what is logged."""


def first_number(layout: Layout, model_id: str) -> set[float]:
    """Return the first numbers of all vectors of a model."""
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(
            "SELECT vector[1] FROM embeddings WHERE model_id = ?", [model_id]
        ).fetchall()
    return {number for (number,) in rows}


def whole(layout: Layout) -> MaterializedDataset:
    """Return the dataset `tiny`."""
    made = read_materialized(layout.dataset("tiny"))
    assert made is not None
    return made


def damage_store(layout: Layout) -> None:
    """Flip a bit in blocks of the store that hold ids of runs."""
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT block_id FROM pragma_storage_info('runs') "
        query += "WHERE segment_type = 'VARCHAR' AND block_id >= 0"
        blocks = {block for (block,) in connection.execute(query).fetchall()}
    content = bytearray(layout.store.read_bytes())
    for block in blocks:
        content[12_288 + 262_144 * block + 1000] ^= 1
    layout.store.write_bytes(content)


def forget(layout: Layout, model_id: str) -> None:
    """Remove a model's vectors and runs from the tables of a store; all files stay."""
    with open_store(layout) as connection, transaction(connection):
        for table in ("vector_files", "runs"):
            connection.execute(f"DELETE FROM {table} WHERE model_id = ?", [model_id])
        write_views(connection, layout.store)


def vector_files(layout: Layout, run: Run) -> list[Path]:
    """Return the vector files of a run that has been loaded."""
    return sorted(layout.vectors.rglob(f"{run.run_id}-*.parquet"))


def molecules(n: int) -> Dataset:
    """Return a dataset of n small molecules that is not yet on disk."""

    def entries() -> Iterator[Entry]:
        draw = np.random.default_rng(0)
        for i in range(n):
            yield Entry(f"m{i}", numbers=np.array([1, 9]), positions=draw.normal(size=(2, 3)) * 5)

    return Dataset("many", "Many", "made up", "CC0-1.0", ("numpy",), entries, (__file__,))


def copy_store(source: Layout, target: Layout) -> None:
    """Copy a store with the files beside it, to where there is none."""
    shutil.copytree(source.data, target.data)
    shutil.copy2(source.store, target.store)


@contextmanager
def open_elsewhere(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Open the store in another process, as a notebook that does not close it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield process
        process.communicate()
