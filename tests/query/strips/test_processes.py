"""Processes that share strips: late, killed, on nodes with a disk of their own."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
import torch

import query
from query.strips.finding import Work
from query.strips.loading import load_strips
from query.strips.parts import Parts
from query.strips.question import Question, StripsError, question_folder, read_question
from query.strips.staging import staged
from query.strips.working import work_on_strips
from tests.query import stores
from tests.query.strips.cases import HOW, begin
from zoo.files import file_lock


def test_vectors_are_read_from_copies_that_go_with_the_last_process(
    store: Path,
    connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MATTERZOO_SCRATCH", str(tmp_path))
    question = Question(stores.DATASET, None, "pairwise", HOW, 1)
    plan = question.plan(connection)
    half = tmp_path / f"matterzoo-{os.getuid()}-key" / plan.files[0].file
    half.parent.mkdir(parents=True)
    half.touch()  # as a node that lost power leaves it
    with staged(plan.files, "key") as folder, staged(plan.files, "key") as again:
        assert folder is not None and folder == again
        for file in plan.files:
            assert (folder / file.file).read_bytes() == Path(file.path).read_bytes()
        plan.read_from(folder)
        assert all(Path(file.path).is_relative_to(folder) for file in plan.files)
        source = next(iter(plan.keys))
        found = plan.comparisons()[source].vectors(0)
    assert not list(tmp_path.iterdir())
    there = question.plan(connection)
    assert torch.equal(there.comparisons()[source].vectors(0), found)


def test_copies_that_are_just_removed_are_made_again(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_SCRATCH", str(tmp_path))
    files = Question(stores.DATASET, None, "pairwise", HOW, 1).plan(connection).files
    folder = tmp_path / f"matterzoo-{os.getuid()}-key"
    folder.mkdir()

    def use() -> bool:
        with staged(files, "key") as copies:
            return copies is not None and all((copies / file.file).exists() for file in files)

    with ThreadPoolExecutor(1) as pool:
        with file_lock(folder / ".used"):
            found = pool.submit(use)
            time.sleep(0.1)  # it waits for the lock of a folder that goes
            shutil.rmtree(folder)
        assert found.result()


def test_a_file_that_cannot_be_read_is_no_reason_that_is_kept(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_SCRATCH", str(tmp_path))
    question = Question(stores.DATASET, None, "pairwise", HOW, 1)
    work = Work(question, question.plan(connection), Parts(tmp_path / "parts"), 1)
    with staged(work.plan.files, "key") as folder:
        assert folder is not None
        work.plan.read_from(folder)
        shutil.rmtree(folder / "dataset=many")
        for units in work.phases:
            with pytest.raises(StripsError, match="is damaged .*the same command goes on"):
                work.find(units[0])


def test_processes_end_once_another_has_put_the_strips_together(
    store: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    key, names = begin(store, connection, metric="cka")
    parts = Parts(question_folder(store, key))
    question = read_question(parts.folder)
    work = Work(question, question.plan(connection), parts, 1)
    with ThreadPoolExecutor(2) as pool:
        with file_lock(parts.lock(names[-1])):
            late = pool.submit(work_on_strips, store, key, 0, 1, 1)
            loader = pool.submit(load_strips, store, key, 5.0)
            while parts.missing(names[:-1]):
                time.sleep(0.02)
            parts.write(names[-1], work.find(work.phases[2][-1]))
            assert load_strips(store, key) == 9
        assert late.result() == len(names) - 1
        assert loader.result() == 9


def test_others_write_to_the_store_while_strips_are_found(tmp_path: Path) -> None:
    store = stores.make(tmp_path / "matter.duckdb", stores.tables(2, 40, 3))
    with query.connect(store, functions=False) as connection:
        key, names = begin(store, connection, metric="cka")
    parts = Parts(question_folder(store, key))
    with ThreadPoolExecutor(1) as pool:
        with file_lock(parts.lock(names[-1])):
            found = pool.submit(work_on_strips, store, key, 0, 1, 1)
            while parts.missing(names[:-1]):
                time.sleep(0.02)
            with query.connect(store, read_only=False, functions=False) as connection:
                connection.execute("CREATE TABLE mine (i INTEGER)")
        assert found.result() == len(names)
    assert load_strips(store, key) == 4
