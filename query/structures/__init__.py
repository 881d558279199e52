"""Drawings of systems as small SVG pictures: what is the point under the cursor?

`draw_structures` reads systems of a store and draws each in the way that suits it: a molecule by
its SMILES (`molecules`), a crystal or a molecule without SMILES by its atoms (`atoms`), a protein
by its backbone (`proteins`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from query.structures.atoms import draw_atoms
from query.structures.molecules import draw_molecule
from query.structures.proteins import draw_backbone

__all__ = ["MOST", "draw_structures"]

MOST = 1000  # drawings of a page: a megabyte of it at most, as a drawing packs to about a kilobyte
_ASKED = """
SELECT system_id, numbers, positions, cell, smiles, backbone, sequence FROM systems
WHERE list_contains($systems, system_id) ORDER BY system_id
"""


def draw_structures(
    connection: duckdb.DuckDBPyConnection, systems: Iterable[str], most: int = MOST
) -> dict[str, str]:
    """Draw systems.

    Args:
        connection: A connection to a store.
        systems: Their names, in the order in which they are drawn until there are enough.
        most: So many are drawn at most.

    Returns:
        By name, an SVG element in the color of the text around it; systems of which the store has
        no structure are left out.
    """
    names = list(dict.fromkeys(systems))[:most]
    found = connection.execute(_ASKED, {"systems": names})
    columns = [column[0] for column in found.description or ()]
    rows = (dict(zip(columns, row, strict=True)) for row in found.fetchall())
    drawn = {row["system_id"]: _draw(row) for row in rows}
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _draw(system: dict[str, Any]) -> str | None:
    """Return the drawing of a system, None if nothing is known that could be drawn."""
    drawing = draw_molecule(system["smiles"]) if system["smiles"] else None
    if drawing is None and system["backbone"]:
        drawing = draw_backbone(system["backbone"])
    if drawing is None and system["numbers"] and system["positions"]:
        drawing = draw_atoms(system["numbers"], system["positions"], system["cell"])
    return drawing
