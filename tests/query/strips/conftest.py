"""A store that all tests of strips share; what they keep beside it goes after each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import torch

import query
from query.strips.question import question_folder
from query.tables.shared.stored import matrices_folder
from tests.query.strips.cases import fill


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("strips") / "matter.duckdb")


@pytest.fixture(scope="session")
def connection(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.connect(store, functions=False) as connection:
        yield connection


@pytest.fixture(autouse=True)
def nothing_kept(store: Path) -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for folder in (matrices_folder(store), question_folder(store, "key").parent):
        shutil.rmtree(folder, ignore_errors=True)
