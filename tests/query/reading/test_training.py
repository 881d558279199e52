"""What training sets have in common: the file, real sets, and that SQL and Python agree."""

from __future__ import annotations

import itertools

import duckdb
import pytest

from query.reading import training
from query.reading.training import (
    NEITHER,
    SHARED,
    UNKNOWN,
    find_origins,
    read_sets,
    training_relation,
)
from zoo.cards.discovery import load_models

Connection = duckdb.DuckDBPyConnection
LISTS = sorted({selection.model.provenance.training_sets for selection in load_models().values()})


def test_every_entry_is_of_a_card_or_a_source_and_says_where_that_is_known_from() -> None:
    entries = read_sets()
    names = [name for entry in entries for name in (entry["name"], *entry.get("aliases", []))]
    assert len(set(names)) == len(names)
    named = {name for sets in LISTS for name in sets} | {
        p for entry in entries for p in entry.get("drawn_from", [])
    }
    assert set(names) <= named
    for entry in entries:
        assert set(entry) <= {"name", "aliases", "drawn_from", "source", "undisclosed"}
        assert ("drawn_from" in entry) == entry.get("source", "").startswith("https://")
        assert ("drawn_from" in entry) != entry.get("undisclosed", False)
        aliases = {alias for entry in entries for alias in entry.get("aliases", [])}
        assert not aliases & set(entry.get("drawn_from", []))  # parents go by their first names


def test_origins_are_a_set_and_all_above_it() -> None:
    entries = [
        {"name": "b", "aliases": ["B"], "drawn_from": ["a"]},
        {"name": "c", "drawn_from": ["b", "d"]},
        {"name": "e", "undisclosed": True},
    ]
    assert find_origins(entries) == {
        "b": ["a", "b"],
        "B": ["a", "b"],
        "c": ["a", "b", "c", "d"],
        "e": [],
    }


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (["MPtrj"], ["MPF.2021.2.8"], SHARED),
        (["MPtrj"], ["Materials Project PBE(+U) relaxations", "OC22"], SHARED),
        (["MPF.2021.2.8"], ["MP-2021.2.8 (relaxations of the Materials Project)"], SHARED),
        (["OMat24"], ["Alexandria"], SHARED),
        (["OMat24"], ["sAlex"], SHARED),
        (["OMat24"], ["MPtrj"], NEITHER),
        (["PubChem10M"], ["PubChem (77 million SMILES)"], SHARED),
        (["SPICE"], ["ZINC (10 %)"], NEITHER),
        (["web text"], ["web text"], UNKNOWN),
        (["web text", "MPtrj"], ["MP-r2SCAN"], SHARED),
        (["web text"], ["MPtrj"], UNKNOWN),
        (None, ["MPtrj"], UNKNOWN),
        ([], ["MPtrj"], NEITHER),
        (["my own set"], ["my own set"], SHARED),
        (["my own set"], ["another"], NEITHER),
    ],
)
def test_relation(con: Connection, a: list[str] | None, b: list[str] | None, expected: str) -> None:
    assert training_relation(a, b) == training_relation(b, a) == expected
    both = con.execute(
        "SELECT training_relation($a::VARCHAR[], $b::VARCHAR[])", {"a": a, "b": b}
    ).fetchall()
    assert both == [(expected,)]


def test_sql_and_python_agree_on_every_two_models(con: Connection) -> None:
    pairs = list(itertools.combinations_with_replacement(map(list, LISTS), 2))
    con.execute("CREATE TEMP TABLE pairs (place BIGINT, a VARCHAR[], b VARCHAR[])")
    con.executemany(
        "INSERT INTO pairs VALUES (?, ?, ?)", [(i, a, b) for i, (a, b) in enumerate(pairs)]
    )
    found = con.execute("SELECT training_relation(a, b) FROM pairs ORDER BY place").fetchall()
    assert [relation for (relation,) in found] == [training_relation(a, b) for a, b in pairs]


def test_all_potentials_of_the_materials_project_share_training_data() -> None:
    """They are trained on its relaxations, by whatever name the cards call them."""
    sets = [
        sets
        for sets in LISTS
        if any("Materials Project" in training.ORIGINS.get(name, []) for name in sets)
    ]
    assert len(sets) > 5
    assert {training_relation(a, b) for a, b in itertools.combinations(sets, 2)} == {SHARED}
