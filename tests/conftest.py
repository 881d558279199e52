"""What every test may use, and the versions in the header."""

from __future__ import annotations

import signal

import duckdb
import numpy
import pytest
import torch


def pytest_report_header() -> str:
    return f"duckdb {duckdb.__version__}, numpy {numpy.__version__}, torch {torch.__version__}"


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Tests are many tiny products: on a busy machine OpenMP's threads wait ten times longer than they work."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_reaches_what_tests_start() -> None:
    """A shell lets its background jobs ignore it, and every process that these start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
