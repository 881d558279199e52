"""The paper's size: CKNNA of all pairs of 60 models over 50,000 systems, in SQL, from disk.

`python -m tests.bench.paper STORE QUERY` is the process that is measured; it prints seconds, its
peak memory and what the query returned as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import query
from schemas.store import connect
from tests.bench import products
from tests.bench.engine import Size
from tests.bench.report import Row
from tests.bench.stores import DATASET, add, create, vectors

ROOT = Path(__file__).resolve().parents[2]
SIZE = Size(60, 50_000, 512)
MEMORY = 6.0  # GB resident, at most
WRITING_MEMORY = "2GB"  # of DuckDB, while the store is made
TILES = 8  # of each sampled model, of which the products are timed
SAMPLED = 4  # models, before and after
MATRIX = (
    f"FROM alignment_matrix(dataset := '{DATASET}', metric := 'cknna', k := 25, permutations := 0)"
)
STORED = (
    "SELECT count(DISTINCT model_id), count(*), min(len(vector)), max(len(vector)) FROM embeddings"
)


def run(size: Size, store: Path) -> Iterator[Row]:
    make(store, size)
    sample = [vectors(seed, size.systems, size.dimensions) for seed in range(1, 2 * SAMPLED + 1)]
    products.seconds(sample[:1], tiles=1)
    bare = products.seconds(sample[:SAMPLED], tiles=TILES)
    measured = measure(store, MATRIX)
    bare = (bare + products.seconds(sample[SAMPLED:], tiles=TILES)) * size.models / len(sample)
    note = (
        f"{measured['rows']:,} rows, {measured['values']:,} with a value; store of "
        f"{store.stat().st_size / 1e9:.1f} GB, opened by a process of its own; products of "
        f"{TILES} tiles of {len(sample)} models, scaled to all"
    )
    yield Row(
        f"FROM alignment_matrix, {size} / bare products", measured["seconds"], bare, "s", None, note
    )
    yield Row("its peak resident memory / what is allowed", measured["peak"], MEMORY, "GB", 1.0)


def make(path: Path, size: Size) -> None:
    """Make the store, model by model, unless it is there.

    Raises SystemExit if another one is in the way.
    """
    expected = (size.models, size.models * size.systems, size.dimensions, size.dimensions)
    if path.exists():
        with connect(path, read_only=True) as connection:
            stored = connection.execute(STORED).fetchone()
        if stored != expected:
            raise SystemExit(
                f"{path} holds (models, vectors, dimensions) {stored}, not {expected}: "
                "name another file"
            )
        return
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with create(partial, size.systems) as connection:
        connection.execute(f"SET memory_limit = '{WRITING_MEMORY}'")
        for i in range(size.models):
            add(connection, f"model-{i:02}", vectors(i + 1, size.systems, size.dimensions))
            print(
                f"\r{i + 1} of {size.models} models written to {path}",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
    partial.rename(path)


def measure(store: Path, statement: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.paper", str(store), statement]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def answer(store: str, statement: str) -> dict[str, Any]:
    start = time.perf_counter()
    with query.connect(store) as connection:
        values = connection.sql(statement).to_arrow_table().column("value")
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak": peak_memory(),
        "rows": len(values),
        "values": len(values) - values.null_count,
    }


def peak_memory() -> float:
    """Return this process's peak in GB.

    getrusage would give the parent's where that was larger.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


if __name__ == "__main__":
    print(json.dumps(answer(*sys.argv[1:])))
