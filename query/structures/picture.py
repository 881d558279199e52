"""What all pictures share: their size, and how points are fitted into it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 220, 180  # px
MARGIN = 22  # px around all points, for letters and circles


def fit(points: NDArray[np.float64], largest: float = np.inf) -> tuple[NDArray[np.float64], float]:
    """Move and scale points so that they fill the picture.

    Args:
        points: Two coordinates each, (n, 2), the second up.
        largest: Pixels per unit at most.

    Returns:
        Pixels from the left and from above, (n, 2), and how many pixels a unit has.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    unit = min(float(np.min((np.array([WIDTH, HEIGHT]) - 2 * MARGIN) / span)), largest)
    moved = (points - (low + high) / 2) * unit
    return np.stack([WIDTH / 2 + moved[:, 0], HEIGHT / 2 - moved[:, 1]], axis=1), unit


def svg(content: str) -> str:
    """Return an SVG element of the pictures' size.

    Args:
        content: What is in it.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}px" height="{HEIGHT}px">{content}</svg>'
    )
