"""What is kept while a report is made answers only for the vectors that it was found of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import query
from query.reading.kept.finds import Finds, keep, keep_finds, open_finds
from schemas import store
from tests.vectors import put

SYSTEMS = [f"d/{i:03d}" for i in range(110)]
MATRIX = (
    "FROM alignment_matrix('d', k := 5, permutations := 9, metric := 'cknna, cka') ORDER BY ALL"
)
QUESTIONS = (
    MATRIX,
    "FROM model_tree('d', k := 5)",
    "FROM dimensions('d', subsamples := 3)",
    "FROM system_map('b', dataset := 'd')",
)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of three models on 110 systems; c lacks some of them. It may be written."""
    with store.connect(tmp_path / "matter.duckdb") as made:
        made.execute(
            "INSERT INTO datasets VALUES ('d', 'D', 'here', 'CC0', 110, 0, 'hash', NULL, now())"
        )
        made.execute(
            "INSERT INTO systems (system_id, dataset, content_hash) "
            "SELECT unnest($ids), 'd', 'c'", {"ids": SYSTEMS},
        )  # fmt: skip
        for number, model in enumerate("abc"):
            made.execute(
                "INSERT INTO models VALUES (?, 'f', 'M', 'structure', 'last', NULL, NULL, NULL, "
                "NULL, 'MIT', 'MIT', '{}', 'hash')",
                [model],
            )
            ids = SYSTEMS[5:] if model == "c" else SYSTEMS
            put(made, model, ids, vectors(number, len(ids)), run_id=f"run-{model}")
    with query.connect(tmp_path / "matter.duckdb", read_only=False) as connection:
        yield connection


def vectors(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6)).astype("f4")


def ask(con: duckdb.DuckDBPyConnection) -> list[list[Any]]:
    return [con.execute(question).fetchall() for question in QUESTIONS]


def test_each_pair_is_aligned_once_for_all_statements(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, aligned = sys.modules["query.tables.shared.pairs"], []

    def count(comparison: Any, metrics: Any, pairs: Any, **how: Any) -> Any:
        aligned.extend(metrics * len(pairs))
        return find(comparison, metrics, pairs, **how)

    find = module.align_all
    without_interval = MATRIX.replace("k := 5", "k := 7").replace(", cka", "")
    alone = ask(con)
    monkeypatch.setattr(module, "align_all", count)
    with keep_finds():
        assert ask(con) == alone  # the tree takes what the matrix has found
        assert len(aligned) == 2 * 6
        with con.cursor() as cursor, keep_finds():
            assert ask(query.register(cursor)) == alone
        assert len(aligned) == 2 * 6
        con.execute("FROM alignment_matrix('d', k := 6, permutations := 9)")
        assert len(aligned) == 3 * 6
        con.execute("FROM alignment_matrix('d', k := 7, permutations := 9, subsamples := 4)")
        assert len(aligned) == 4 * 6
        without = con.execute(without_interval).fetchall()
        assert len(aligned) == 4 * 6
    assert open_finds() is None
    assert without == con.execute(without_interval).fetchall()
    assert ask(con) == alone and len(aligned) > 3 * 6


def test_other_vectors_are_other_questions(con: duckdb.DuckDBPyConnection) -> None:
    with keep_finds():
        before = ask(con)
        con.execute("DELETE FROM vector_files WHERE model_id = 'b'")
        put(con, "b", SYSTEMS, vectors(7, len(SYSTEMS)), run_id="run-b")
        changed = ask(con)
        con.execute("INSERT INTO superseded VALUES ('run-a', ?, 'last')", [SYSTEMS[-1]])
        fewer = ask(con)
    for new, old in zip(changed, before, strict=True):
        assert new != old
    assert fewer != changed
    assert ask(con) == fewer


def test_room_is_bounded() -> None:
    finds = Finds(room=100)
    finds.put("first", 1, 40)
    finds.put("second", 2, 40)
    assert finds.get("first") == 1
    finds.put("third", 3, 40)
    assert finds.get("second") is None  # asked for longest ago
    finds.put("first", 4, 60)
    assert [finds.get(name) for name in ("first", "third")] == [4, 3]
    finds.put("fourth", 5, 101)
    assert finds.get("fourth") is None and finds.get("third") == 3


def test_nothing_is_kept_outside() -> None:
    found = [keep("key", lambda: object(), lambda one: 1) for _ in range(2)]
    assert found[0] is not found[1]
    with pytest.raises(ValueError, match="inside"), keep_finds():
        raise ValueError("inside")
    assert open_finds() is None
