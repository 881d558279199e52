"""Matrices in strips: the same bits whoever found what, kept while the vectors are the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch

import query
from matterzoo import main
from query.strips.cutting import list_units, pair_units, sum_units
from query.strips.loading import load_strips
from query.strips.parts import Parts
from query.strips.question import Question, StripsError, question_folder, write_question
from query.strips.staging import staged
from query.strips.working import work_on_strips
from query.tables.alignment_matrix import Row, alignment_matrix
from query.tables.shared.options import Options
from query.tables.shared.stored import matrices_folder
from tests import vectors as vectors_of
from tests.query import stores

N = 600  # systems, which are two rows of tiles
METRICS = "cknna, cka, distance_correlation, information_imbalance, procrustes"
HOW: dict[str, Any] = {"metric": METRICS, "permutations": 2, "device": "cpu"}


class Count:
    """A `Progress` that counts the products that are expected."""

    def __init__(self) -> None:
        self.products = 0

    def expect(self, products: int) -> None:
        self.products += products

    def advance(self, products: int) -> None: ...


def fill(path: Path) -> Path:
    """Make a store of three models; the first has ties, the second twins, the last half."""
    tables = stores.tables(3, N, 4)
    tables["m0"] = np.round(tables["m0"]) + 0.5
    tables["m1"][:20] = tables["m1"][0]
    stores.make(path, tables)
    with query.connect(path, read_only=False, functions=False) as connection:
        vectors_of.remove(connection, "model_id = ?", ["m2"])
        ids = [f"{stores.DATASET}/{i:05d}" for i in range(0, N, 2)]
        vectors_of.put(connection, "m2", ids, tables["m2"][::2])
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("strips") / "matter.duckdb")


@pytest.fixture(scope="module")
def connection(store: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.connect(store, functions=False) as connection:
        yield connection


@pytest.fixture(scope="module")
def local(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return list(alignment_matrix(connection, stores.DATASET, options=Options(**HOW)))


@pytest.fixture(autouse=True)
def nothing_kept(store: Path) -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for folder in (matrices_folder(store), question_folder(store, "key").parent):
        shutil.rmtree(folder, ignore_errors=True)


def begin(
    store: Path, connection: duckdb.DuckDBPyConnection, **options: Any
) -> tuple[str, list[str]]:
    """Ask, and return the key and the names of the strips."""
    question = Question(
        stores.DATASET, None, "pairwise", HOW | options, torch.get_num_threads(), "again"
    )
    key, plan = question.key(connection), question.plan(connection)
    units = [*list_units(plan), *sum_units(plan, question.side), *pair_units(plan)]
    write_question(question_folder(store, key), question, len(units))
    return key, [unit.name for unit in units]


def ask(connection: duckdb.DuckDBPyConnection, **options: Any) -> tuple[list[Row], int]:
    """Return the rows of the question, and how many products they took."""
    count = Count()
    given = Options(**(HOW | options), progress=count)
    return list(alignment_matrix(connection, stores.DATASET, options=given)), count.products


@pytest.mark.parametrize("workers", [1, 3])
def test_however_many_there_were_the_bits_are_those_of_one_process(
    store: Path, connection: duckdb.DuckDBPyConnection, local: list[Row], workers: int
) -> None:
    key, names = begin(store, connection)
    with ThreadPoolExecutor(workers) as pool:
        given = [(store, key, task, workers, 3 - workers or 1) for task in range(workers)]
        found = list(pool.map(lambda each: work_on_strips(*each), given))
    assert sum(found) == len(names) > 15
    assert load_strips(store, key) == len(local) == 9 * 5
    assert ask(connection) == (local, 0)
    assert not Parts(question_folder(store, key)).has(names[0])
    assert load_strips(store, key) == len(local)
    assert work_on_strips(store, key) == 0  # a task that comes late begins nothing


def test_what_is_lost_or_damaged_is_found_again(
    store: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    how = {"metric": "distance_correlation, cknna", "subsamples": 4}
    local, products = ask(connection, **how)
    assert products > 0
    key, names = begin(store, connection, **how)
    with pytest.raises(StripsError, match="12 alignments of 12 are missing.*`again` goes on"):
        load_strips(store, key)
    work_on_strips(store, key)
    parts = Parts(question_folder(store, key))
    for name in names:
        if name.startswith("pairs"):
            parts.file(name).unlink()
    whole = parts.file(names[-3]).read_bytes()
    parts.file(names[-3]).write_bytes(whole[: len(whole) // 2])  # a strip of sums
    parts.file(names[0]).unlink()  # a strip of lists
    work_on_strips(store, key)
    load_strips(store, key)
    assert ask(connection, **how) == (local, 0)


def test_strips_of_other_vectors_are_not_mixed(tmp_path: Path) -> None:
    store = stores.make(tmp_path / "matter.duckdb", stores.tables(2, 40, 3))
    how = {"metric": "mutual_knn, rsa", "k": 5}
    with query.connect(store, functions=False) as connection:
        begun, _ = begin(store, connection, **how)
        key, _ = begin(store, connection, **how, seed=1)
    work_on_strips(store, key)
    load_strips(store, key)
    with query.connect(store, functions=False) as connection:
        before, products = ask(connection, metric="rsa, mutual_knn", k=5, seed=1)
        assert [row.metric for row in before] == ["rsa"] * 4 + ["mutual_knn"] * 4
        assert products == 0
        assert ask(connection, **how)[1] > 0
        assert ask(connection, **how, seed=1, permutations=6)[1] > 0
    stores.put(store, {"m1": stores.tables(2, 40, 3, seed=1)["m1"]})
    with pytest.raises(StripsError, match="the vectors of the store have changed since"):
        work_on_strips(store, begun)
    with query.connect(store, functions=False) as connection:
        after, products = ask(connection, metric="rsa, mutual_knn", k=5, seed=1)
    assert products > 0
    assert [row.value for row in after] != [row.value for row in before]


@pytest.mark.parametrize(
    "options", [{"rows": 100, "metric": "cknna", "estimator": "centered"}, {"normalize": "zscore"}]
)
def test_estimates_and_models_normalized_among_some_systems(
    store: Path, connection: duckdb.DuckDBPyConnection, options: dict[str, Any]
) -> None:
    how = {"metric": "mutual_knn"} | options
    local, _ = ask(connection, **how)
    key, _ = begin(store, connection, **how)
    work_on_strips(store, key)
    load_strips(store, key)
    assert ask(connection, **how) == (local, 0)


def test_vectors_are_read_from_copies_that_go_with_the_last_process(
    store: Path,
    connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MATTERZOO_SCRATCH", str(tmp_path))
    question = Question(stores.DATASET, None, "pairwise", HOW, 1)
    plan = question.plan(connection)
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


def test_the_command(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["matrix", stores.DATASET, "--metric", "cka", "--store", str(store)]
    assert main(line) == 0
    assert "9 rows" in capsys.readouterr().out
    assert main([*line, "--on", "local"]) == 0
    assert "kept already: 9 rows of cka on many" in capsys.readouterr().out
    assert main([*line, "--partition", "gpu"]) == 2
    assert "--partition is for --on slurm, not local: leave it out" in capsys.readouterr().err
    assert main(["matrix", "mani", "--store", str(store)]) == 2
    assert "no dataset 'mani' in this store; did you mean 'many'" in capsys.readouterr().err
