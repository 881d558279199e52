"""The macros about training sets: SQL and Python say the same of every two models."""

from __future__ import annotations

import itertools

import duckdb

from zoo.cards.discovery import load_models
from zoo.training_sets import origins, training_relation

LISTS: list[tuple[str, ...] | None] = [
    None,
    ("my own set",),
    *sorted({selection.model.provenance.training_sets for selection in load_models().values()}),
]


def test_sql_and_python_agree_on_every_two_models(con: duckdb.DuckDBPyConnection) -> None:
    pairs = list(itertools.combinations_with_replacement(LISTS, 2))
    a, b = (
        [sets if sets is None else list(sets) for sets in side] for side in zip(*pairs, strict=True)
    )
    found = con.execute(
        "SELECT training_relation(a, b) FROM (SELECT unnest($a::VARCHAR[][]) AS a, "
        "unnest($b::VARCHAR[][]) AS b)",
        {"a": a, "b": b},
    ).fetchall()
    assert [relation for (relation,) in found] == [training_relation(a, b) for a, b in pairs]


def test_origins_in_sql_are_those_of_python(con: duckdb.DuckDBPyConnection) -> None:
    names = [*origins(), "my own set"]
    rows = con.execute("SELECT training_origins([n]) FROM unnest(?) u(n)", [names]).fetchall()
    assert [row for (row,) in rows] == [origins().get(name, [name]) for name in names]
