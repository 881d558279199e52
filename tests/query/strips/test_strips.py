"""Matrices in strips: the same bits whoever found what, kept while the vectors are the same."""

from __future__ import annotations

import json
import os
import stat
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import query
from matterzoo import main
from query.strips.finding import Work
from query.strips.loading import load_strips
from query.strips.outdated import find_outdated
from query.strips.parts import Parts
from query.strips.question import Question, StripsError, question_folder
from query.strips.working import work_on_strips
from query.tables.models.alignment_matrix import Row, alignment_matrix
from query.tables.shared import stored
from query.tables.shared.options import Options
from query.tables.shared.stored import digest_of_code, matrices_folder, read_matrix
from tests.query import stores
from tests.query.strips.cases import HOW, ask, begin
from zoo.files import file_lock


@pytest.fixture(scope="module")
def local(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return list(alignment_matrix(connection, stores.DATASET, options=Options(**HOW)))


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
    assert find_outdated(store) == set()
    work_on_strips(store, key)
    load_strips(store, key)
    with query.connect(store, functions=False) as connection:
        before, products = ask(connection, metric="rsa, mutual_knn", k=5, seed=1)
        assert [row.metric for row in before] == ["rsa"] * 4 + ["mutual_knn"] * 4
        assert products == 0
        assert ask(connection, **how)[1] > 0
        assert ask(connection, **how, seed=1, permutations=6)[1] > 0
        (file,) = (store.with_suffix(".data") / "vectors").rglob("model=m1/*.parquet")
        file.rename(file.with_suffix(".away"))
        assert find_outdated(store) == set()  # it may come back
        how |= {"metric": "rsa, mutual_knn", "seed": 1}
        with pytest.raises(ValueError, match=f"{file.name} is missing: restore it, or"):
            alignment_matrix(
                connection, stores.DATASET, ["m0", "m1"], options=Options(**(HOW | how))
            )
        file.with_suffix(".away").rename(file)
    stores.put(store, {"m1": stores.tables(2, 40, 3, seed=1)["m1"]})
    assert find_outdated(store) == {begun, key}
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


def test_one_group_of_models_is_held_at_a_time(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    question = Question(stores.DATASET, None, "pairwise", HOW, 1)
    work = Work(question, question.plan(connection), Parts(tmp_path), 1)
    first = weakref.ref(work.group(0))
    assert work.group(0) is first()
    work.group(1)
    assert first() is None


def test_other_code_has_another_key(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question(stores.DATASET, None, "pairwise", HOW, 1)
    before = question.key(connection)
    digests = []
    for number, text in enumerate(["x = 1", "x = 1  # one", "x = 2"]):
        folder = tmp_path / str(number) / "engine"
        folder.mkdir(parents=True)
        (folder / "a.py").write_text(text)
        digests.append(digest_of_code(folder.parent))
    assert digests[0] == digests[1] != digests[2]
    monkeypatch.setattr(stored, "QUERY", tmp_path / "2")
    assert question.key(connection) != before


@pytest.fixture
def shared(store: Path) -> Iterator[None]:
    """Have a group share the store's folder, and keep files to their user."""
    before, mode = os.umask(0o077), store.parent.stat().st_mode
    store.parent.chmod(0o2770)
    yield
    store.parent.chmod(mode)
    os.umask(before)


@pytest.mark.usefixtures("shared")
def test_the_command(
    store: Path, connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["matrix", stores.DATASET, "--metric", "cka", "--store", str(store)]
    assert main(line) == 0
    assert "9 rows" in capsys.readouterr().out
    assert main([*line, "--on", "local"]) == 0
    assert "kept already: 9 rows of cka on many" in capsys.readouterr().out
    (kept,) = matrices_folder(store).glob("*.parquet")
    assert kept.stat().st_mode & kept.parent.stat().st_mode & stat.S_IWGRP
    question = json.loads((question_folder(store, kept.stem) / "question.json").read_text())
    assert question["options"]["device"] == "cpu"
    table = pq.read_table(kept)
    pq.write_table(table.append_column("another", pa.nulls(len(table))), kept)
    assert read_matrix(store, kept.stem) is None
    assert main([*line, "--given", "m0"]) == 1
    assert "given = m0 cannot be found in strips: `FROM" in capsys.readouterr().err
    assert main([*line, "--partition", "gpu"]) == 2
    assert "--partition is for --on slurm, not local: leave it out" in capsys.readouterr().err
    assert main(["matrix", "mani", "--store", str(store)]) == 2
    assert "no dataset 'mani' in this store; did you mean 'many'" in capsys.readouterr().err
    key, _ = begin(store, connection, metric="rsa", permutations=0)
    file = question_folder(store, key) / "question.json"
    file.write_text(file.read_text().replace('"cpu"', '"cuda"'))
    line = ["matrix", stores.DATASET, "--metric", "rsa", "--permutations", "0"]
    line += ["--store", str(store)]
    assert main(line) == 1
    assert "were begun with --device cuda, not cpu: go on with" in capsys.readouterr().err
    file.write_text("{")  # half of a file says nothing, and is written again
    assert main(line) == 0


def test_matrices_are_removed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stores.make(tmp_path / "matter.duckdb", stores.tables(2, 40, 3))
    with query.connect(store, functions=False) as connection:
        begun, names = begin(store, connection, metric="rsa")
        other, _ = begin(store, connection, metric="cka")
    work_on_strips(store, other)
    load_strips(store, other)
    clean, at = ["clean", "--yes", "--matrices"], ["--store", str(store)]
    assert main([*clean, "outdated", *at]) == 2
    assert f"no matrix of {store} is out of date" in capsys.readouterr().err
    with file_lock(Parts(question_folder(store, begun)).lock(names[0])):
        assert main([*clean, begun, *at]) == 2
        assert f"is at matrix {begun}; wait until it is done" in capsys.readouterr().err
    assert main([*clean, "../strips", *at]) == 2
    assert "has no matrix ../strips; expected keys as `mat" in capsys.readouterr().err
    stores.put(store, {"m1": stores.tables(2, 40, 3, seed=1)["m1"]})
    assert main(["status", *at]) == 0
    said = capsys.readouterr().out
    assert f"matrix {begun}: 0 of {len(names)} strips found\n  out of date, since vectors" in said
    assert f"`again` begins anew, `matterzoo clean --matrices {begun}` removes this" in said
    assert other not in said
    monkeypatch.setenv("MATTERZOO_ENVS", str(tmp_path))  # else all environments are measured
    assert main(["du", *at]) == 0
    assert {begun, other} <= set(capsys.readouterr().out.split())
    assert main([*clean, begun, *at]) == 0
    assert not question_folder(store, begun).exists()
    assert main([*clean, "outdated", *at]) == 0
    assert not question_folder(store, other).exists()
    assert not (matrices_folder(store) / f"{other}.parquet").exists()
