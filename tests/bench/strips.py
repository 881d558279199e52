"""A matrix found by two processes against one, each with one thread."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import query
from query.strips.question import Question, question_folder, write_question
from query.tables.models.alignment_matrix import alignment_matrix
from query.tables.shared.options import Options
from query.tables.shared.stored import matrices_folder
from tests.bench.engine import Size
from tests.bench.report import Row
from tests.bench.stores import DATASET, add, create, vectors

SIZE = Size(models=6, systems=32_000, dimensions=256)
METRICS = "cknna, distance_correlation"
HOW = {"metric": METRICS, "permutations": 100, "device": "cpu"}
MOST = 1 / 1.7  # of the time of one, where two cores are free


def run(size: Size) -> Iterator[Row]:
    """Yield the factor by the clock, and by the processor time of the busier process.

    The second is what two free cores would show, whatever else the machine does.
    """
    with tempfile.TemporaryDirectory(prefix="strips-") as folder:
        store = Path(folder) / "bench.duckdb"
        with create(store, size.systems) as connection:
            for i in range(size.models):
                add(connection, f"m{i}", vectors(i, size.systems, size.dimensions))
        one, two = (_find(store, processes) for processes in (1, 2))
        with query.connect(store, functions=False) as connection:
            start = time.process_time()
            alignment_matrix(connection, DATASET, options=Options(**HOW))
            local = time.process_time() - start
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {METRICS}"
    yield Row(f"matrix in strips, {size}: two processes / one", two[0], one[0], "s", MOST, load)
    busier = "processor time of the busier process, its start and reading included"
    yield Row("the same by processor time", two[1], one[1], "s", MOST, busier)
    both = "lists are found for each row, not for half of the pairs"
    yield Row("processor time of one process / alignment_matrix", one[1], local, "s", None, both)


def _find(store: Path, processes: int) -> tuple[float, float]:
    """Return the seconds that all strips take, and processor time of the busier process."""
    with query.connect(store, functions=False) as connection:
        question = Question(DATASET, None, "pairwise", HOW, 1)
        key = question.key(connection)
    write_question(question_folder(store, key), question, 0)
    words = [sys.executable, "-m", "matterzoo", "matrix-work", key, "--store", str(store)]
    words += ["--threads", "1", "--tasks", str(processes)]
    start, spent = time.perf_counter(), []
    tasks = [subprocess.Popen([*words, "--task", str(task)]) for task in range(processes)]
    for task in tasks:
        _, status, used = os.wait4(task.pid, 0)
        task.returncode = os.waitstatus_to_exitcode(status)
        assert task.returncode == 0
        spent.append(used.ru_utime + used.ru_stime)
    seconds = time.perf_counter() - start
    shutil.rmtree(question_folder(store, key))
    shutil.rmtree(matrices_folder(store), ignore_errors=True)
    return seconds, max(spent)
