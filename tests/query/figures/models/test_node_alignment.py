"""Elements stand in the periodic table, residues in lines, what is weak is marked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import query
from query.figures import NothingToDraw, node_alignment
from query.figures.drawing.periodic_table import place
from query.report.node_versions import per_nodes
from tests.query.figures.scene import layers, overlapping, written
from zoo.encoder import SYMBOLS

Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def nodes_con(nodes_path: Path) -> Iterator[Connection]:
    with query.connect(nodes_path) as connection:
        yield connection


def notes(chart: Any) -> list[str]:
    found: list[str] = chart.to_dict()["usermeta"]["notes"]
    return found


def test_every_element_has_a_place_of_its_own() -> None:
    places = {symbol: place(number) for number, symbol in enumerate(SYMBOLS, 1)}
    assert len(set(places.values())) == len(SYMBOLS)
    expected = {"H": (1, 1), "He": (18, 1), "B": (13, 2), "Mg": (2, 3), "Sc": (3, 4)}
    expected |= {
        "Xe": (18, 5),
        "Ba": (2, 6),
        "La": (3, 9),
        "Yb": (16, 9),
        "Lu": (3, 6),
        "Hf": (4, 6),
    }
    expected["U"] = 6, 10
    assert {symbol: places[symbol] for symbol in expected} == expected


def test_elements_are_cells_with_value_and_count(nodes_con: Connection) -> None:
    options = {"model_a": "base", "model_b": "near", "k": 5, "permutations": 30}
    chart = node_alignment(nodes_con, "crystals", **options)
    others, cells, gray, _, crosses, frames, *texts = layers(chart)
    rows = {row["kind"]: row for row in chart.answer.rows}
    assert {row["kind"]: row["value"] for row in cells.rows} == pytest.approx(
        {kind: row["value"] for kind, row in rows.items() if row["value"] is not None}, rel=1e-4
    )
    assert [(row["group"], row["line"]) for row in cells.rows] == [(1, 1), (8, 4), (16, 2)]
    assert [row["count"] for row in texts[2].rows] == [f"{rows[x]['n']}" for x in ("H", "Fe", "O")]
    (undefined,) = gray.rows
    assert (undefined["kind"], undefined["group"], undefined["line"]) == ("U", 6, 10)
    assert undefined["reason"] == rows["U"]["reason"] and crosses.rows[0]["cross"] == "×"
    assert len(others.rows) == len(SYMBOLS) - 4 and frames.rows == []
    assert f"Undefined: 1 of 4, such as U: {undefined['reason']}." in notes(chart)
    assert {"O", f"{rows['O']['value']:.2f}", "28", "He"} <= written(chart)
    assert overlapping(chart) == []


def test_what_is_weak_is_marked(nodes_con: Connection) -> None:
    options = {"model_a": "base", "model_b": "other", "k": 10, "permutations": 30}
    chart = node_alignment(nodes_con, "crystals", **options)
    rows = {row["kind"]: row for row in chart.answer.rows}
    frames, _, values, _ = layers(chart)[5:]
    assert (
        {row["kind"] for row in frames.rows}
        == {kind for kind, row in rows.items() if row["warning"] and row["value"] is not None}
        == {"O", "Fe"}
    )
    assert {row["written"] for row in values.rows} == {
        f"({row['value']:.2f})" if row["p_value"] > 0.05 else f"{row['value']:.2f}"
        for row in rows.values()
        if row["value"] is not None
    }
    assert "In parentheses: not beyond chance (p > 0.05, or no p)." in notes(chart)


def test_residues_are_lines_the_most_alike_first(nodes_con: Connection) -> None:
    options = {"model_a": "base", "model_b": "other", "by": "residue", "permutations": 30, "k": 3}
    chart = node_alignment(nodes_con, "chains", **options)
    words, chance, points = layers(chart)
    known = [row for row in chart.answer.rows if row["value"] is not None]
    known.sort(key=lambda row: -row["value"])
    assert len(known) == 3 and [row["kind"] for row in points.rows] == [r["kind"] for r in known]
    names = {"G": "glycine, G", "A": "alanine, A", "W": "tryptophan, W"}
    assert points.encoding["y"]["sort"] == [*(names[r["kind"]] for r in known), "leucine, L"]
    assert [row["name"] for row in words.rows] == ["leucine, L"]
    for drawn, row in zip(chance.rows, known, strict=True):
        middle = (drawn["value"] + drawn["high"]) / 2
        assert middle == pytest.approx(row["null_mean"], abs=1e-4)
    assert {row["beyond"] for row in points.rows} == {
        "no" if row["p_value"] > 0.05 else "yes" for row in known
    }
    assert overlapping(chart) == []


def test_the_report_shows_elements_and_residues(nodes_con: Connection) -> None:
    versions = per_nodes(nodes_con, ["crystals", "chains"])
    assert [tuple(version.switches.values()) for version in versions] == [
        ("crystals", "element", "base and near"),
        ("crystals", "element", "base and other"),
        ("crystals", "element", "near and other"),
        ("chains", "residue", "base and other"),
    ]
    with pytest.raises(NothingToDraw, match=r"on plants: matterzoo ingest MODEL plants --nodes"):
        per_nodes(nodes_con, ["plants"])


def test_nothing_to_draw(nodes_con: Connection) -> None:
    for model, options, message in (
        ("pooled", {}, "no vectors of nodes of pooled in this store; `matterzoo ingest pooled"),
        ("near", {"k": 500}, "base and near have no cknna of nodes: .*k = 500"),
        ("near", {"by": "residue"}, "the store knows no residue of the nodes of crystals"),
    ):
        with pytest.raises(NothingToDraw, match=message):
            node_alignment(nodes_con, "crystals", model_a="base", model_b=model, **options)
