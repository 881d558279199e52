"""A protein as the trace of its backbone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from query.structures.picture import fit, svg

_CA = 1  # the place of the alpha carbon among N, CA, C and O
_PARTS = 24  # of the chain, each in a shade of its own
_GAP = 4.5  # Å between neighboring alpha carbons (3.8 in a chain), from which on some are missing


def draw_backbone(backbone: Sequence[Sequence[Sequence[float]]]) -> str | None:
    """Draw the alpha carbons as a line, light at the N terminus and dark at the C terminus.

    Args:
        backbone: Positions in Å, (residues, atoms, 3), the atoms N, CA, C and O.

    Returns:
        An SVG element; None if fewer than two alpha carbons are known.
    """
    trace = np.array([residue[_CA] for residue in backbone], dtype=float)
    trace = trace[np.isfinite(trace).all(axis=1)]
    if len(trace) < 2:
        return None
    centered = trace - trace.mean(axis=0)
    axes = np.linalg.svd(centered, full_matrices=False)[2]
    points = np.round(fit(centered @ axes[:2].T)[0]).astype(int)
    broken = np.linalg.norm(np.diff(trace, axis=0), axis=1) > _GAP
    ends = np.unique(np.linspace(0, len(points) - 1, min(_PARTS, len(points) - 1) + 1).astype(int))
    shades = np.linspace(0.35, 1, len(ends) - 1)
    lines = [
        f'<path d="{_path(points, broken, start, end)}" opacity="{shade:.2f}"/>'
        for start, end, shade in zip(ends, ends[1:], shades, strict=False)
    ]
    style = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"'
    letters = "".join(
        f'<text x="{x}" y="{y}" font-size="13" fill="currentColor">{letter}</text>'
        for letter, (x, y) in (("N", points[0]), ("C", points[-1]))
    )
    return svg(f"<g {style}>{''.join(lines)}</g>{letters}")


def _path(points: np.ndarray, broken: np.ndarray, start: int, end: int) -> str:
    """Return a path along some points, which does not cross gaps of the chain."""
    steps = [f"M{points[start][0]} {points[start][1]}"]
    for i in range(start + 1, end + 1):
        steps.append(f"{'M' if broken[i - 1] else 'L'}{points[i][0]} {points[i][1]}")
    return "".join(steps)
