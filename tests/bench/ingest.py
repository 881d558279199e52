"""Ingest against the bare model in a plain loop, and the host's memory against the systems."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ingest.layout import Layout
from ingest.runs.folder import list_runs
from ingest.runtimes import environment
from tests.bench.report import Row
from zoo.cards.discovery import find_model, load_families

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"chgnet-0.3.0": "chgnet", "sevennet-0": "sevenn"}
BATCH = 32  # structures, of the bare loop
REPEATS = 2
FEW, MANY = 8_000, 256_000


def overhead() -> Iterator[Row]:
    """Yield `prototypes` through worker, shards and store, against a plain batched loop."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        run_ingest(store, "constant", "prototypes")  # makes the dataset, which either way needs
        systems = store.with_suffix(".data") / "datasets" / "prototypes" / "systems.parquet"
        for model_id, package in PACKAGES.items():
            python = ROOT / ".envs" / find_model(model_id).family.name / "bin" / "python"
            bare = [python, ROOT / "tests" / "bench" / "bare_loop.py", package, systems, str(BATCH)]
            ours, rival = [], []
            for _ in range(REPEATS):
                rival.append(seconds(bare))
                ours.append(
                    seconds([*ingest_command(store, model_id, "prototypes"), "--runtime", "venv"])
                )
                clean(store, model_id)
            measure = f"ingest prototypes with {model_id} / plain loop over the bare model"
            yield Row(measure, statistics.median(ours), statistics.median(rival), "s", 1.10)


def demo() -> Iterator[Row]:
    """Yield what `make demo` does, in a new store, against the models' own time to encode."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        for family in load_families().values():
            if family.demo:
                environment.build(family, print)  # once per machine
        start = time.perf_counter()
        run_ingest(store, "demo", "aflow,g2,proteins")
        for words in (["aflow"], ["g2,proteins", "k=10"]):
            ask = [sys.executable, "-m", "matterzoo", "query", "alignment_matrix_text", *words]
            seconds([*ask, "--store", store])
        taken = time.perf_counter() - start
        records = [
            run.read("out/run.json")["seconds"] for run in list_runs(Layout.find(str(store)))
        ]
    own = sum(record["encode"] for record in records)
    yield Row("make demo / the sum of its models' own encode times", taken, own, "s", 2.0)


def containers() -> Iterator[Row]:
    """Yield `prototypes` in a container against the same worker in its local environment."""
    model_id = "sevennet-0"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "bench.duckdb"
        run_ingest(store, "constant", "prototypes")  # makes the dataset, which either way needs
        times: dict[str, list[float]] = {"docker": [], "venv": []}
        for _ in range(REPEATS):
            for runtime, taken in times.items():
                taken.append(
                    seconds([*ingest_command(store, model_id, "prototypes"), "--runtime", runtime])
                )
                clean(store, model_id)
        measure = f"ingest prototypes with {model_id} in a container / in its local environment"
        yield Row(
            measure, statistics.median(times["docker"]), statistics.median(times["venv"]), "s", 1.05
        )


def memory() -> Iterator[Row]:
    """Yield the peak memory of the ingesting process, 32 times the systems against once."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for count in (FEW, MANY):
            systems = Path(folder) / f"molecules-{count}.extxyz"
            write_molecules(systems, count)
            peaks.append(
                peak_memory(
                    ingest_command(Path(folder) / f"{count}.duckdb", "random", str(systems))
                )
            )
        measure = f"peak memory of the host, {MANY:,} systems / {FEW:,} systems"
        yield Row(measure, peaks[1], peaks[0], "MB", 1.10)


def ingest_command(store: Path, model_id: str, dataset: str) -> list[object]:
    return [sys.executable, "-m", "matterzoo", "ingest", model_id, dataset, "--store", store]


def run_ingest(store: Path, model_id: str, dataset: str) -> None:
    subprocess.run(
        ingest_command(store, model_id, dataset), cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def clean(store: Path, model_id: str) -> None:
    command = [sys.executable, "-m", "matterzoo", "clean", model_id, "--store", store]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def seconds(command: Sequence[object]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def peak_memory(command: Sequence[object]) -> float:
    """Return a process's own peak in MB.

    rusage would add that of its children, such as the worker.
    """
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            break
        peak = max(
            [peak, *(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))]
        )
        time.sleep(0.02)
    if process.wait() != 0:
        raise SystemExit(
            f"{' '.join(map(os.fspath, map(str, command)))} ended with {process.returncode}"
        )
    return peak


def write_molecules(path: Path, count: int) -> None:
    """Write random clusters of 20 carbon atoms as extended XYZ, one at a time."""
    generator = np.random.default_rng(0)
    with path.open("w") as file:
        for i in range(count):
            rows = "\n".join(
                "C {:.6f} {:.6f} {:.6f}".format(*p) for p in generator.uniform(0, 9, (20, 3))
            )
            file.write(f'20\nProperties=species:S:1:pos:R:3 id=c{i} pbc="F F F"\n{rows}\n')
