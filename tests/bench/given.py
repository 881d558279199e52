"""What `given := 'composition'` adds to a matrix, in the processor's time of one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import query
from query.tables.models.alignment_matrix import alignment_matrix
from query.tables.shared.options import Options
from tests.bench.engine import Size
from tests.bench.report import Row
from tests.bench.stores import DATASET, add, create, vectors

SIZE = Size(8, 10_000, 512)
FEATURES = 132  # of `composition`
LIMIT = 1.5
METRICS = ("cknna", "distance_correlation", "cka")


def run(size: Size) -> Iterator[Row]:
    """Yield, for some metrics, the matrix with a description given against the plain one."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    names = [f"m{i}" for i in range(size.models)]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        with create(store, size.systems) as filling:
            for i, name in enumerate(names):
                add(filling, name, vectors(i + 1, size.systems, size.dimensions))
            given = random.standard_normal((size.systems, FEATURES), dtype=np.float32)
            given[:, :16] += vectors(1, size.systems, 16)
            add(filling, "composition", given)
        with query.connect(store) as connection:
            few = [f"{DATASET}/{i:07}" for i in range(500)]
            for option in (None, "composition"):  # what is loaded and compiled once
                options = Options(metric=", ".join(METRICS), given=option)
                alignment_matrix(connection, DATASET, names, few, options=options)
            for metric in METRICS:
                taken = {}
                for option in (None, "composition"):
                    begin = time.process_time()
                    options = Options(metric=metric, given=option)
                    found = alignment_matrix(connection, DATASET, names, options=options)
                    taken[option] = time.process_time() - begin
                    assert all(row.value is not None for row in found)
                yield Row(
                    f"{metric}, given := 'composition' / the plain matrix, {size}",
                    taken["composition"],
                    taken[None],
                    "s",
                    LIMIT,
                )
