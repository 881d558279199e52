"""Two models are compared node by node, by element, residue or system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import query
from query.metrics import align
from tests.query.nodes import SIZES, make_vectors

N = sum(SIZES.values())
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def ask(nodes_path: Path) -> Iterator[Callable[[str], Rows]]:
    with query.connect(nodes_path) as connection:

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
    counts = [("H", 114), ("Fe", 28), ("O", 28), ("U", 1)]
    assert [(row["kind"], row["n"]) for row in rows] == counts
    assert [row["n_systems"] for row in rows] == [57, 28, 28, 1]
    assert all(row["value"] > 0.4 and row["p_value"] < 0.1 for row in rows[:3])
    assert rows[3]["value"] is None and "is the same" in rows[3]["reason"]
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
