"""Atoms as circles, those behind first, with the cell of a crystal around them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from query.structures.picture import MARGIN, fit, svg
from zoo.encoder import SYMBOLS

_TURNED, _TILTED = np.radians(24), np.radians(14)  # as textbooks show cells: a little from above
_RADIUS = 0.5  # of the covalent radius, so that atoms behind are seen
_BOND = 1.15  # times the sum of covalent radii, up to which two atoms are joined
_UNIT = 30  # px per Å at most
_MOST = 160  # circles; of a larger cell the atoms nearest to the reader are drawn
_LETTERS = 6  # px, the least radius of a circle that has its symbol in it
_EDGE = 0.02  # of a cell's edge, up to which an atom is drawn on the opposite side, too
_Floats = NDArray[np.float64]


def draw_atoms(
    numbers: Sequence[int],
    positions: Sequence[Sequence[float]],
    cell: Sequence[Sequence[float]] | None = None,
) -> str | None:
    """Draw atoms in the colors of Jmol, with their symbols where there is room.

    Args:
        numbers: Atomic numbers, n of them.
        positions: In Å, (n, 3).
        cell: The cell's vectors in Å, one per row, (3, 3); None for a molecule.

    Returns:
        An SVG element; None if ASE, which has colors and radii, is not installed.
    """
    try:
        from ase.data import covalent_radii
        from ase.data.colors import jmol_colors
    except ImportError:
        return None
    z, places = np.array(numbers), np.array(positions, dtype=float).reshape(-1, 3)
    edges = np.empty((0, 3))
    if cell is not None and abs(np.linalg.det(np.array(cell))) > 0:
        z, places = _repeat_on_edges(z, places, np.array(cell))
        edges = _corners(np.array(cell))
    seen = np.concatenate([places, edges]) @ _view()
    points, unit = fit(seen[:, :2], _UNIT)
    order = np.argsort(seen[: len(z), 2])[-_MOST:]
    radii = covalent_radii[z] * min(_RADIUS * unit, (MARGIN - 1) / covalent_radii[z].max())
    content = _lines(points[len(z) :])
    if cell is None:
        content += _bonds(points, places, covalent_radii[z])
    for i in order:
        content += _circle(points[i], radii[i], jmol_colors[z[i]], SYMBOLS[z[i] - 1])
    return svg(content)


def _view() -> _Floats:
    """Return the axes of the picture, right, up and to the reader, as columns, (3, 3)."""
    turn, tilt = (np.cos(_TURNED), np.sin(_TURNED)), (np.cos(_TILTED), np.sin(_TILTED))
    right = np.array([turn[0], turn[1], 0])
    reader = np.array([turn[1] * tilt[0], -turn[0] * tilt[0], tilt[1]])
    return np.stack([right, np.cross(reader, right), reader], axis=1)


def _repeat_on_edges(
    z: NDArray[np.int64], places: _Floats, cell: _Floats
) -> tuple[NDArray[np.int64], _Floats]:
    """Return the atoms inside a cell, those at its edges at all edges where they are."""
    inside = np.linalg.solve(cell.T, places.T).T % 1.0
    inside[inside > 1 - _EDGE] -= 1.0
    found_z, found = [], []
    for number, place in zip(z, inside, strict=True):
        for shift in itertools.product(*((0, 1) if part < _EDGE else (0,) for part in place)):
            found_z.append(number)
            found.append(place + shift)
    return np.array(found_z), np.array(found) @ cell


def _corners(cell: _Floats) -> _Floats:
    """Return both ends of the twelve edges of a cell, (24, 3)."""
    ends = []
    for axis, (one, other) in enumerate(((1, 2), (0, 2), (0, 1))):
        for first, second in itertools.product((0, 1), repeat=2):
            start = first * cell[one] + second * cell[other]
            ends += [start, start + cell[axis]]
    return np.array(ends)


def _lines(ends: _Floats) -> str:
    if not len(ends):
        return ""
    path = "".join(
        f"M{a[0]:.0f} {a[1]:.0f}L{b[0]:.0f} {b[1]:.0f}"
        for a, b in zip(ends[::2], ends[1::2], strict=True)
    )
    return f'<path d="{path}" fill="none" stroke="currentColor" opacity=".45"/>'


def _bonds(points: _Floats, places: _Floats, radii: _Floats) -> str:
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    pairs = np.argwhere(np.triu(apart < _BOND * (radii[:, None] + radii[None]), 1))
    path = "".join(
        f"M{points[i][0]:.0f} {points[i][1]:.0f}L{points[j][0]:.0f} {points[j][1]:.0f}"
        for i, j in pairs
    )
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="4" opacity=".6"/>'


def _circle(point: _Floats, radius: float, color: _Floats, symbol: str) -> str:
    shade = "#" + "".join(f"{round(255 * part):02x}" for part in color)
    drawn = (
        f'<circle cx="{point[0]:.0f}" cy="{point[1]:.0f}" r="{radius:.1f}" fill="{shade}" '
        'stroke="#333"/>'
    )
    if radius < _LETTERS:
        return drawn
    ink = "#000" if color @ np.array([0.299, 0.587, 0.114]) > 0.5 else "#fff"
    return (
        f'{drawn}<text x="{point[0]:.0f}" y="{point[1] + 3.5:.0f}" font-size="10" '
        f'text-anchor="middle" fill="{ink}">{symbol}</text>'
    )
