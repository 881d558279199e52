"""Matrices of values: cells colored by their value, with the value written in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from query.figures.drawing.looks import GRAY, SEQUENTIAL
from query.figures.drawing.plot import Row
from query.metrics import find_metric

_WRITTEN = 24  # lines or columns, up to which the values stand in the cells


def draw_cells(axes: Axes, cells: Sequence[Sequence[Row]], metric: str) -> AxesImage:
    """Draw the values of a metric as cells: dark is far apart, undefined ones are hatched.

    Args:
        axes: Where they are drawn, the first one in the upper left corner, its middle at (0, 0).
        cells: A row of an answer for each, with its value: by line, then by column.
        metric: The metric.

    Returns:
        The image, for a color bar.
    """
    values = np.array(
        [[np.nan if cell["value"] is None else cell["value"] for cell in line] for line in cells]
    )
    lower = find_metric(metric).lower_is_closer
    colors = colormaps[SEQUENTIAL + ("_r" if lower else "")].with_extremes(bad="white")
    known = values[~np.isnan(values)]
    image = axes.imshow(values, cmap=colors, vmin=min([0.0, *known]), vmax=max([1.0, *known]))
    hatched: dict[str, Any] = {"fill": False, "hatch": "////", "edgecolor": GRAY, "linewidth": 0}
    for y, x in np.argwhere(np.isnan(values)):  # white alone could be taken for a value
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **hatched))
    if max(values.shape) <= _WRITTEN:
        _write_values(axes, values, image)
    return image


def _write_values(axes: Axes, values: NDArray[np.float64], image: Any) -> None:
    """Write the values into their cells, black on light and white on dark."""
    light = image.to_rgba(values)[..., :3].sum(axis=-1) > 1.5
    for (y, x), value in np.ndenumerate(values):
        text = "" if np.isnan(value) else f"{value:.2f}".removeprefix("0")
        color = "black" if light[y, x] else "white"
        cell = axes.text(x, y, text, ha="center", va="center", fontsize=5.5, color=color)
        cell.set_in_layout(False)  # it lies within the axes, and to measure it takes long
