"""All layers of a model against its default one, and all pairs of layers against what they need.

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
PERMUTATIONS, MANY = 100, 1000  # those of a table function by default, and enough to time a pair


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
    """Yield `layer_alignment` of two models against the search and the pairs that it needs.

    It has to search for the neighbors of LAYERS times as many representations as one pair of them
    has, and to find the null of LAYERS² pairs, of which one is timed with MANY permutations.
    """
    both = f"'a#layer-6', 'b#layer-6', dataset := '{DATASET}', permutations"
    ours = _seconds_of(f"layer_alignment('a', 'b', dataset := '{DATASET}')")
    search = _seconds_of(f"alignment({both} := 0)")
    pair = (_seconds_of(f"alignment({both} := {MANY})") - search) * PERMUTATIONS / MANY
    rival = (LAYERS + 1) * search + LAYERS**2 * pair
    measure = f"layer_alignment of {LAYERS} × {LAYERS} layers / its search and pairs"
    note = (
        f"{SYSTEMS:,} systems, {DIMENSIONS} dimensions, {PERMUTATIONS} permutations; {LAYERS + 1} "
        f"searches of {search:.2f} s for two layers, {LAYERS**2} pairs of {pair:.3f} s; processor "
        "time"
    )
    yield Row(measure, ours, rival, "s", 1.0, note)
    alone = search + pair
    measure = f"layer_alignment of {LAYERS} × {LAYERS} layers / alignment of one pair"
    yield Row(measure, ours, alone, "s", 14.0, "the same, and the limit as it was first stated")


def _seconds_of(call: str) -> float:
    """Return the processor time of a table function, in a store of its own without lists."""
    with tempfile.TemporaryDirectory() as folder:
        connection = query.connect(make_store(Path(folder) / "bench.duckdb"))
        start = time.process_time()
        connection.execute(f"SELECT max(value) FROM {call}").fetchall()
        taken = time.process_time() - start
        connection.close()
    return taken


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
