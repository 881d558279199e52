"""All layers of a model against its default one, and all pairs of layers against one pair.

All is measured in the processor's time, so that others may use the machine meanwhile.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import query
from schemas.views import write_views
from tests.bench.ingest import PACKAGES, REPEATS, clean, ingest_command, run_ingest, seconds
from tests.bench.report import Row
from tests.bench.stores import DATASET, create, vectors
from tests.vectors import put

LAYERS, SYSTEMS, DIMENSIONS = 13, 4000, 256


def run() -> Iterator[Row]:
    yield from storing()
    yield from comparing()


def storing() -> Iterator[Row]:
    """Yield `prototypes` with all layers against the default representation alone."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        run_ingest(store, "constant", "prototypes")  # makes the dataset, which either way needs
        for model_id in PACKAGES:
            taken: dict[str, list[float]] = {"last_hidden,layers": [], "last_hidden": []}
            for _ in range(REPEATS):
                for asked, times in taken.items():
                    before = processor_time()
                    command = ingest_command(store, model_id, "prototypes")
                    seconds([*command, "--representation", asked])
                    times.append(processor_time() - before)
                    clean(store, model_id)
            ours, rival = map(statistics.median, taken.values())
            measure = f"ingest prototypes with {model_id}, all layers / the default one"
            yield Row(measure, ours, rival, "s", 1.15, "processor time of all processes")


def comparing() -> Iterator[Row]:
    """Yield `layer_alignment` of two models against `alignment` of one pair of their layers."""
    ask = "SELECT max(p_value) FROM {}, dataset := '" + DATASET + "')"
    calls = ("layer_alignment('a', 'b'", "alignment('a#layer-6', 'b#layer-6'")
    times = []
    for call in calls:  # each from a store of its own, which keeps no lists yet
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder) / "bench.duckdb")
            connection = query.connect(store)
            start = time.process_time()
            connection.execute(ask.format(call)).fetchall()
            times.append(time.process_time() - start)
            connection.close()
    measure = f"layer_alignment of {LAYERS} × {LAYERS} layers / alignment of one pair"
    note = f"{SYSTEMS:,} systems, {DIMENSIONS} dimensions, 100 permutations; processor time"
    yield Row(measure, *times, "s", LAYERS + 1, note)


def make_store(path: Path) -> Path:
    """Make a store of two models with layers."""
    ids = [f"{DATASET}/{i:07}" for i in range(SYSTEMS)]
    with create(path, SYSTEMS) as connection:
        for number, model_id in enumerate("ab"):
            for layer in range(LAYERS):
                rows = vectors(LAYERS * number + layer, SYSTEMS, DIMENSIONS)
                name = f"layer-{layer}"
                put(connection, model_id, ids, rows, representation=name, view=False)
            connection.execute(
                "INSERT INTO models VALUES (?, 'bench', 'bench', 'any', 'v', NULL, NULL, NULL, "
                "NULL, 'none', 'none', '{}', '')",
                [model_id],
            )
        write_views(connection, path)
    return path


def processor_time() -> float:
    """Return the seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
