"""Two models are compared node by node, by element, residue or system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import query
from query.metrics import align
from schemas import store
from schemas.views import write_views
from tests.vectors import put_nodes

SIZES = {f"crystals/{i:03d}": 2 + i % 3 for i in range(60)}
N = sum(SIZES.values())
Rows = list[dict[str, Any]]


def make_vectors() -> dict[str, np.ndarray]:
    """Return vectors of the nodes by model; 'near' sees what 'base' sees, 'other' does not."""
    random = np.random.default_rng(0)
    seen = random.normal(size=(N, 4))
    near = seen + 0.1 * random.normal(size=(N, 4))
    return {
        "base": seen.astype("f4"),
        "near": near.astype("f4"),
        "other": random.normal(size=(N, 3)).astype("f4"),
    }


@pytest.fixture(scope="module")
def nodes_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of crystals, each of hydrogen but for its first atom."""
    path = tmp_path_factory.mktemp("nodes") / "matter.duckdb"
    with store.connect(path) as connection:
        connection.execute(
            "INSERT INTO datasets VALUES "
            "('crystals', 'Made up', 'here', 'CC0-1.0', 60, 0, 'hash', NULL, now())"
        )
        for number, (system_id, size) in enumerate(SIZES.items()):
            numbers = [(8, 26)[number % 2]] + [1] * (size - 1)
            connection.execute(
                "INSERT INTO systems (system_id, dataset, content_hash, numbers) "
                "VALUES (?, 'crystals', 'c', ?)",
                [system_id, numbers],
            )
        vectors = make_vectors()
        for model in (*vectors, "pooled"):
            connection.execute(
                "INSERT INTO models VALUES (?, 'family', 'A model', 'structure', 'last', NULL, 10, "
                "NULL, NULL, 'MIT', 'MIT', '{}', 'hash')",
                [model],
            )
        for model, x in vectors.items():
            sizes = dict(list(SIZES.items())[3:]) if model == "near" else SIZES
            put_nodes(connection, model, sizes, x[N - sum(sizes.values()) :], view=False)
        write_views(connection, path)
    return path


@pytest.fixture(scope="module")
def ask(nodes_store: Path) -> Iterator[Callable[[str], Rows]]:
    with query.connect(nodes_store) as connection:

        def rows(options: str) -> Rows:
            found = connection.execute(f"FROM node_alignment({options})")
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        yield rows


def test_nodes_are_paired_by_system_and_number(ask: Callable[[str], Rows]) -> None:
    [row] = ask("'base', 'near', dataset := 'crystals', k := 5")
    lacking = sum(list(SIZES.values())[:3])
    x = make_vectors()
    expected = align(x["base"][lacking:], x["near"][lacking:], "cknna", k=5)
    assert row["value"] == pytest.approx(expected.value, rel=1e-9)
    assert (row["n"], row["n_systems"], row["dropped_a"]) == (N - lacking, 57, lacking)
    assert row["p_value"] == pytest.approx(1 / 101) and row["exchange"] == "system"
    assert row["movable"] == 1 and row["warning"] is None
    [other] = ask("'base', 'other', dataset := 'crystals', k := 5")
    assert other["p_value"] > 0.02 and other["n"] == N


def test_there_is_a_row_per_element_and_per_system(ask: Callable[[str], Rows]) -> None:
    rows = ask("'base', 'near', dataset := 'crystals', by := 'element', k := 5, permutations := 30")
    assert [(row["kind"], row["n"]) for row in rows] == [("H", 114), ("Fe", 29), ("O", 28)]
    assert [row["n_systems"] for row in rows] == [57, 29, 28]
    assert all(row["value"] > 0.4 and row["p_value"] < 0.1 for row in rows)
    some = "systems := ['crystals/004', 'crystals/005', 'crystals/006']"
    rows = ask(f"'base', 'near', dataset := 'crystals', by := 'system', metric := 'cka', {some}")
    assert [(row["kind"], row["n"], row["exchange"]) for row in rows] == [
        ("crystals/005", 4, "within"),
        ("crystals/004", 3, "within"),
        ("crystals/006", 2, "within"),
    ]
    assert rows[1]["reason"] == "n = 3 systems in common, but cka needs at least 4"


def test_what_weakens_a_value_is_said(ask: Callable[[str], Rows]) -> None:
    some = "systems := ['crystals/004', 'crystals/005', 'crystals/006']"
    [row] = ask(f"'base', 'near', dataset := 'crystals', k := 2, {some}")
    assert row["p_value"] is None and row["movable"] == 0 and "3 systems are few" in row["warning"]
    assert "100% of nodes are of systems of which no other has as many" in row["warning"]
    [row] = ask(f"'base', 'near', dataset := 'crystals', k := 2, per_system := 2, {some}")
    assert (row["n"], row["movable"]) == (6, 1) and row["p_value"] is not None
    [row] = ask("'base', 'near', dataset := 'crystals', per_system := 9")
    assert row["reason"] == "no system of crystals has 9 such nodes"
    drawn = "metric := 'mutual_knn', k := 5, rows := 40"
    [row] = ask(f"'base', 'near', dataset := 'crystals', {drawn}")
    assert 40 <= row["rows"] < 45 and row["value"] > 0.4


def test_what_makes_no_sense_is_refused(ask: Callable[[str], Rows]) -> None:
    for options, message in {
        "'base', 'pooled', dataset := 'crystals'": "no vectors of nodes of pooled in this store; "
        "`matterzoo ingest pooled DATASET --nodes` adds them",
        "'base#first', 'near', dataset := 'crystals'": "of base#first in this store, which has "
        "those of last; `matterzoo ingest base DATASET --representation first --nodes`",
        "'base', 'near', dataset := 'crystals', by := 'atom'": "unknown by 'atom'; there are: "
        "element, residue, system",
        "'base', 'near', dataset := 'crystals', exchange := 'all'": "unknown exchange 'all'",
    }.items():
        with pytest.raises(duckdb.Error, match=message):
            ask(options)
