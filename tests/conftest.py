"""What every test may use, and the versions in the header."""

from __future__ import annotations

import duckdb
import numpy
import torch


def pytest_report_header() -> str:
    return f"duckdb {duckdb.__version__}, numpy {numpy.__version__}, torch {torch.__version__}"
