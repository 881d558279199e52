"""What tests of stores share: ids, and what a store or a folder holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ingest.layout import Layout
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.store import connect

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


def damage_embeddings(layout: Layout) -> None:
    """Flip a bit in blocks of the store that hold ids of vectors."""
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT block_id FROM pragma_storage_info('embeddings') "
        query += "WHERE segment_type = 'VARCHAR' AND block_id >= 0"
        blocks = {block for (block,) in connection.execute(query).fetchall()}
    content = bytearray(layout.store.read_bytes())
    for block in blocks:
        content[12_288 + 262_144 * block + 1000] ^= 1
    layout.store.write_bytes(content)


def molecules(n: int) -> Dataset:
    """Return a dataset of n small molecules that is not yet on disk."""

    def entries() -> Iterator[Entry]:
        draw = np.random.default_rng(0)
        for i in range(n):
            yield Entry(f"m{i}", numbers=np.array([1, 9]), positions=draw.normal(size=(2, 3)) * 5)

    return Dataset("many", "Many", "made up", "CC0-1.0", ("numpy",), entries, (__file__,))
