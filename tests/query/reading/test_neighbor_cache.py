"""Neighbor lists kept beside the store: found again, never out of date, no reason to fail."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from itertools import product
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

import query
from query.engine.compared_models import VectorsLike
from query.engine.neighbors.lists import NeighborLists
from query.metrics import align
from query.reading import neighbor_cache as cache
from query.reading.neighbor_cache import NeighborCache
from query.reading.selection import Selection, Source
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from tests.query import stores

ROOT = Path(__file__).resolve().parents[3]
N, DIMENSION, K = 2100, 12, 5
MODELS = ("m0", "m1", "m2")


class Counting(NeighborCache):
    """A cache that counts which lists it had and which it was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.had = self.given = 0

    def find(
        self, table: VectorsLike, normalize: str, geometry: str, k: int
    ) -> NeighborLists | None:
        found = super().find(table, normalize, geometry, k)
        self.had += found is not None
        return found

    def keep(self, table: VectorsLike, normalize: str, geometry: str, lists: NeighborLists) -> None:
        super().keep(table, normalize, geometry, lists)
        self.given += 1


@pytest.fixture(scope="module")
def vectors() -> dict[str, stores.Table]:
    return stores.tables(len(MODELS), N, DIMENSION)


@pytest.fixture(scope="module")
def made(vectors: dict[str, stores.Table], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.make(tmp_path_factory.mktemp("made") / "matter.duckdb", vectors)


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A store with a cache of its own, and with the vectors of `made`."""
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(made.read_bytes())
    return copy


def lists(path: Path) -> list[Path]:
    return sorted(path.with_suffix(".data").joinpath("cache").glob("*"))


def values(
    path: Path, models: tuple[str, ...] = MODELS, **options: int | str
) -> list[float | None]:
    """Return the matrix of these models, by a connection of its own."""
    given = "".join(f", {name} := {value!r}" for name, value in options.items())
    sql = f"SELECT value FROM alignment_matrix(models := {list(models)}, permutations := 0{given})"
    with query.connect(path) as con:
        return [value for (value,) in con.sql(sql).fetchall()]


def counted(path: Path, models: tuple[str, ...], k: int = K) -> tuple[int, int]:
    """Return how many lists of a matrix were kept and how many had to be found."""
    counting = Counting(path.with_suffix(".data") / "cache")
    sources = [Source(model, "last", True) for model in models]
    with query.connect(path) as con:
        how = Options(k=k, permutations=0, cache=counting)
        align_pairs(con, {Selection(stores.DATASET): list(product(sources, sources))}, how)
    return counting.had, counting.given


def test_a_second_matrix_finds_no_list_and_one_more_model_costs_one(path: Path) -> None:
    assert counted(path, MODELS[:2]) == (0, 2)
    assert counted(path, MODELS[:2]) == (2, 0)
    assert counted(path, MODELS) == (2, 1)
    assert counted(path, MODELS) == (3, 0)


def test_every_connection_keeps_lists_and_values_do_not_change(
    path: Path, vectors: dict[str, stores.Table]
) -> None:
    assert not lists(path)
    first = values(path, k=K)
    kept = lists(path)
    assert len(kept) == 3
    assert values(path, k=K) == first
    assert lists(path) == kept
    assert first[1] == pytest.approx(align(vectors["m0"], vectors["m1"], k=K).value, abs=1e-12)


def test_vectors_that_changed_are_searched_anew(
    path: Path, vectors: dict[str, stores.Table]
) -> None:
    values(path, k=K)
    changed = vectors["m1"].copy()
    changed[0, 0] += 1
    stores.put(path, {"m1": changed})
    assert values(path, k=K)[1] == pytest.approx(
        align(vectors["m0"], changed, k=K).value, abs=1e-12
    )
    assert len(lists(path)) == 4


def test_a_smaller_k_takes_the_beginning_and_a_larger_one_replaces(path: Path) -> None:
    assert counted(path, MODELS[:1], k=20) == (0, 1)
    assert counted(path, MODELS[:1], k=3) == (1, 0)
    small = lists(path)[0].stat().st_size
    assert counted(path, MODELS[:1], k=80) == (0, 1)
    assert len(lists(path)) == 1
    assert lists(path)[0].stat().st_size > small
    assert counted(path, MODELS[:1], k=20) == (1, 0)


def test_lists_for_a_smaller_k_give_the_same_bits(path: Path, tmp_path: Path) -> None:
    short = values(path, k=K)
    for file in lists(path):
        file.unlink()
    values(path, k=90)
    assert values(path, k=K) == short


def test_what_decides_the_lists_has_files_of_its_own(path: Path) -> None:
    for normalize, metric in product(("l2", "none", "zscore"), ("cknna", "information_imbalance")):
        values(path, MODELS[:1], normalize=normalize, metric=metric, k=K)
    # Among vectors of length 1 both geometries have the same neighbors.
    assert len(lists(path)) == 5


def flip(data: bytes) -> bytes:
    return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: data[:60], lambda data: b"", lambda data: b"{}", flip],
    ids=["a byte short", "only its head", "empty", "another file", "a bit flipped"],
)
def test_a_broken_file_is_replaced(path: Path, damage: Callable[[bytes], bytes]) -> None:
    first = values(path, k=K)
    kept = {file: file.read_bytes() for file in lists(path)}
    for file, data in kept.items():
        file.write_bytes(damage(data))
    assert values(path, k=K) == first
    assert {file: file.read_bytes() for file in lists(path)} == kept


def test_a_folder_that_cannot_be_written_is_complained_of_once(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = path.with_suffix(".data") / "cache"
    folder.parent.mkdir()
    folder.write_text("in the way")
    first = values(path, k=K)
    assert values(path, k=K) == first
    assert capfd.readouterr().err.splitlines() == [
        f"  neighbors are not kept for the next question: {folder}: File exists"
    ]


def test_a_full_disk_makes_no_question_fail(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        found = values(path, k=K)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(found) == 9 and None not in found
    assert capfd.readouterr().err.count("neighbors are not kept for the next question") == 1
    assert lists(path) == []


def test_processes_at_once_give_the_same_and_leave_whole_files(path: Path) -> None:
    sql = f"SELECT model_a, model_b, value FROM alignment_matrix(k := {K}, permutations := 0)"
    command = [sys.executable, "-m", "matterzoo", "query", "--store", str(path), "--csv", sql]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert [file.suffix for file in lists(path)] == [".lists"] * 3
    assert counted(path, MODELS) == (3, 0)


def test_what_a_killed_process_left_goes(path: Path) -> None:
    values(path, MODELS[:1], k=K)
    ended = subprocess.Popen(["true"])
    ended.wait()
    old, new = (
        lists(path)[0].with_name(f".lists.{process}-0.tmp") for process in (ended.pid, os.getpid())
    )
    for file in (old, new):
        file.write_bytes(b"half")
    values(path, MODELS, k=K)
    assert not old.exists()
    assert new.exists()


def test_the_oldest_go_where_there_are_too_many(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values(path, MODELS[:1], k=K)
    (first,) = lists(path)
    monkeypatch.setattr(cache, "LIMIT", 2.5 * first.stat().st_size)
    values(path, MODELS[1:2], k=K)
    os.utime(first, (1, 1))
    values(path, MODELS[2:], k=K)
    assert len(lists(path)) == 2
    assert first not in lists(path)


def test_few_systems_are_not_worth_a_file(tmp_path: Path) -> None:
    path = stores.make(tmp_path / "matter.duckdb", stores.tables(2, 300, 4))
    values(path, MODELS[:2], k=K)
    assert lists(path) == []


def test_a_store_in_memory_has_no_cache(con: duckdb.DuckDBPyConnection, store_path: Path) -> None:
    with query.connect(":memory:", read_only=False) as memory:
        assert NeighborCache.beside(memory) is None
    beside = NeighborCache.beside(con)
    assert beside is not None
    assert beside.folder == store_path.with_suffix(".data") / "cache"


def test_kept_lists_are_what_was_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x: NDArray[np.float32] = rng.normal(size=(N, 3)).astype(np.float32)
    given = NeighborLists(
        7,
        rng.integers(0, N, 2 * N).astype(np.int32),
        rng.normal(size=2 * N),
        np.array([0, N, 2 * N]),
        np.arange(N) % 2,
        rng.normal(size=2),
        0.5,
        products=False,
    )
    kept = NeighborCache(tmp_path)
    kept.keep(x, "l2", "inner", given)
    found = kept.find(x, "l2", "inner", 7)
    assert found is not None
    for field in fields(NeighborLists):
        assert np.array_equal(getattr(found, field.name), getattr(given, field.name)), field.name
    assert found.index.flags.writeable
    for other in (
        (x, "max", "inner", 7),
        (x, "l2", "euclidean", 7),
        (x, "l2", "inner", 8),
        (-x, "l2", "inner", 7),
    ):
        assert kept.find(*other) is None
    assert kept.find(x.astype(np.float64), "l2", "inner", 7) is None
