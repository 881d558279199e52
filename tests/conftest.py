"""What every test may use, and the versions in the header."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy
import pytest
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

# Files that take longest, about in this order. They begin first, so that no process is left with
# one of them at the end; `make test` asks pytest-xdist not to sort files by their number of tests.
# In a new clone numba compiles kernels for the first, so that others that need them come later.
SLOW_FILES = (
    "tests/query/report/test_page.py",
    "tests/ingest/test_survival.py",
    "tests/test_readme.py",
    "tests/ingest/executors/",
    "tests/query/report/",
    "tests/query/site/test_site.py",
    "tests/query/sql/test_interrupt.py",
    "tests/zoo/verify/",
    "tests/query/statistics/test_interval.py",
    "tests/query/serve/",
    "tests/query/engine/test_accuracy.py",
    "tests/query/tables/models/test_alignment_matrix.py",
    "tests/query/reading/test_neighbor_cache.py",
    "tests/query/metrics/test_chance.py",
    "tests/query/metrics/test_laws.py",
    "tests/query/sql/test_registration.py",
    "tests/zoo/worker/",
    "tests/ingest/share/",
    "tests/ingest/test_cli.py",
    "tests/ingest/test_toy_family.py",
    "tests/ingest/test_troubles.py",
    "tests/ingest/readers/test_fuzz.py",
    "tests/test_controls.py",
)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-browser` runs, and begin with the slow files, each in its order."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    found = (place for place, file in enumerate(SLOW_FILES) if nodeid.startswith(file))
    return next(found, len(SLOW_FILES))


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass by all that collecting has made, and come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_report_header() -> str:
    return f"duckdb {duckdb.__version__}, numpy {numpy.__version__}, torch {torch.__version__}"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Let torch and numpy use one thread: in tiny products, threads wait more than they work."""
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_reaches_what_tests_start() -> None:
    """A shell lets its background jobs ignore it, and every process that these start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(
            "a file system can be mounted only by root on Linux: sudo .venv/bin/python -m pytest …"
        )
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def fill() -> Callable[[Path, int], Path]:
    """Fill the file system of a folder but for that many bytes; returns the file that does."""

    def write(folder: Path, left: int = 0) -> Path:
        free = os.statvfs(folder)
        file = folder / "filler"
        file.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))
        return file

    return write
