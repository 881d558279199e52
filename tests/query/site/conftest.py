"""The results of a site, read once for the tests of a file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

import query
from query.site.results import Results, list_parts, read_part, read_results
from query.statements import keep_answers
from tests.query.report.conftest import store_path  # noqa: F401

DATASETS = ["crystals", "molecules"]


@pytest.fixture(scope="module")
def results(store_path: Path) -> Results:  # noqa: F811
    with query.connect(store_path) as connection, keep_answers():
        parts: dict[str, list[pa.Table]] = defaultdict(list)
        for name, sql in list_parts():
            parts[name] += [read_part(connection, sql, dataset) for dataset in DATASETS]
        return read_results(connection, DATASETS, parts)
