"""Drawings of systems show what the systems are, and are SVG that can stand in any page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import duckdb
import numpy as np
import pytest

from query.structures import draw_structures
from query.structures.atoms import draw_atoms
from query.structures.molecules import draw_molecule
from query.structures.picture import HEIGHT, WIDTH
from query.structures.proteins import draw_backbone

SVG = "{http://www.w3.org/2000/svg}"


def tags(drawing: str | None, name: str) -> list[ElementTree.Element]:
    assert drawing is not None
    return list(ElementTree.fromstring(drawing).iter(SVG + name))


def test_a_crystal_has_its_atoms_at_all_edges_of_its_cell() -> None:
    cell = (4 * np.eye(3)).tolist()
    drawing = draw_atoms([55, 17], [[0, 0, 0], [2, 2, 2]], cell)
    assert len(tags(drawing, "circle")) == 8 + 1
    assert sorted(text.text or "" for text in tags(drawing, "text")) == ["Cl"] + ["Cs"] * 8
    (edges,) = tags(drawing, "path")
    assert edges.attrib["d"].count("M") == 12
    for circle in tags(drawing, "circle"):
        radius = float(circle.attrib["r"])
        assert radius < float(circle.attrib["cx"]) < WIDTH - radius
        assert radius < float(circle.attrib["cy"]) < HEIGHT - radius


def test_a_cell_is_not_mirrored() -> None:
    """Seen from the front, right and above, atoms along a, c and −b turn to the left."""
    drawing = draw_atoms([6, 7, 8], [[3, 0, 0], [0, 0, 3], [0, -3, 0]])
    at = {
        (text.text or ""): np.array([float(text.attrib["x"]), -float(text.attrib["y"])])
        for text in tags(drawing, "text")
    }
    one, other = at["N"] - at["C"], at["O"] - at["C"]
    assert one[0] * other[1] - one[1] * other[0] > 0


def test_a_molecule_without_smiles_has_bonds() -> None:
    water = draw_atoms([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    (bonds,) = tags(water, "path")
    assert bonds.attrib["d"].count("M") == 2


def test_a_molecule_is_in_the_color_of_the_text(capfd: pytest.CaptureFixture[str]) -> None:
    drawing = draw_molecule("Cc1ccccc1[N+](=O)[O-]")
    assert len(tags(drawing, "path")) > 10
    assert set(re.findall(r"#[0-9A-Fa-f]{6}", drawing or "")) == set()
    assert draw_molecule("C(C") is None
    assert capfd.readouterr() == ("", "")


def test_a_backbone_is_a_line_from_n_to_c_with_its_gaps() -> None:
    trace = np.array([[3.8 * i, (i % 5) * 0.5, 0.0] for i in range(60)])
    trace[30:] += 20
    drawing = draw_backbone(np.repeat(trace[:, None], 3, axis=1).tolist())
    steps = "".join(path.attrib["d"] for path in tags(drawing, "path"))
    assert steps.count("L") == 58
    assert [text.text for text in tags(drawing, "text")] == ["N", "C"]
    assert draw_backbone([[[0.0, 0.0, 0.0]] * 3]) is None


def test_systems_are_drawn_as_suits_them_up_to_a_number() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE systems AS FROM (VALUES "
            "('d/1', 'CCO', NULL, NULL, NULL, NULL, NULL), "
            "('d/2', 'C(C', [6::SMALLINT], [[0.0, 0.0, 0.0]], NULL, NULL, NULL), "
            "('d/3', NULL, NULL, NULL, NULL, NULL, 'MKV'), "
            "('d/4', 'C', NULL, NULL, NULL, NULL, NULL)) "
            "t(system_id, smiles, numbers, positions, cell, backbone, sequence)"
        )
        found = draw_structures(connection, ["d/1", "d/2", "d/3", "d/4"], most=3)
    assert list(found) == ["d/1", "d/2"]
    assert len(tags(found["d/2"], "circle")) == 1
