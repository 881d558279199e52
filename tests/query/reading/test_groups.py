"""Groups of systems that folds must not split."""

from __future__ import annotations

from typing import Any

import duckdb

from query.reading.groups import read_groups
from query.reading.properties import Described
from query.reading.selection import Selection

KEYS = ("content_hash", "formula", "smiles", "sequence", "numbers", "is_periodic")


def groups(con: duckdb.DuckDBPyConnection, name: str, systems: list[dict[str, Any]]) -> list[int]:
    rows = [dict.fromkeys(KEYS) | {"system_id": f"s/{i}"} | s for i, s in enumerate(systems)]
    return read_groups(con, Described(Selection("s"), rows), name).tolist()


def test_crystals_of_one_reduced_formula_and_isomers_are_together(
    con: duckdb.DuckDBPyConnection,
) -> None:
    salt = {"numbers": [11, 17], "is_periodic": True, "formula": "NaCl"}
    many = {"numbers": [17, 11] * 4, "is_periodic": True, "formula": "Na4Cl4"}
    ethene = {"numbers": [6, 6, 1, 1, 1, 1], "formula": "C2H4"}
    butene = {"numbers": [6] * 4 + [1] * 8, "formula": "C4H8"}
    known = [{"formula": "C4H8"}, {"formula": "C4H8"}, {}]
    found = groups(con, "formula", [salt, many, ethene, butene, dict(butene), *known])
    assert found == [0, 0, 1, 2, 2, 3, 3, -1]


def test_scaffolds_hold_rings_and_chains_are_alone(con: duckdb.DuckDBPyConnection) -> None:
    smiles = ["Cc1ccccc1", "Oc1ccccc1", "C1CCCCC1", "CCO", "CCC", None]
    assert groups(con, "scaffold", [{"smiles": each} for each in smiles]) == [0, 0, 1, 2, 3, -1]


def test_sequences_of_one_family_share_words(con: duckdb.DuckDBPyConnection) -> None:
    first, other = "MKTAYIAKQRQISFVKSHFSRQ", "GIGKFLHSAKKFGKAFVGEIMNS"
    sequences = [first, first[:12] + "GGGGGG", "GGGGGG" + other, other[3:] + "AA", "WW", None]
    found = groups(con, "family", [{"sequence": each} for each in sequences])
    assert found == [0, 0, 1, 1, 2, -1]
