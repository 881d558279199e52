"""The vectors of the recorded values, for the scripts that record and the tests that compare.

It needs numpy alone.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
FOLDER = Path(__file__).parent
NORMALIZATIONS = ("l2", "max", "zscore", "none")


def pairs() -> dict[str, tuple[Matrix, Matrix]]:
    """Return two models over the same systems, by name of the case.

    RandomState draws the same with every version of numpy.
    """
    return {
        "related": _pair(0, 70, (8, 5), noise=0.5),
        "offset": _pair(1, 60, (12, 7), noise=0.5, offset=10.0),
        "wide": _pair(2, 25, (60, 40), noise=1.0),
        "unrelated": _pair(3, 50, (6, 6), noise=100.0),
        "lengths": _pair(4, 80, (10, 4), noise=0.3, spread=1.0),
    }


def scaled(x: Matrix, how: str) -> Matrix:
    """The four normalizations, in their plainest words."""
    if how == "l2":
        return x / np.linalg.norm(x, axis=1, keepdims=True)
    if how == "max":
        return x / np.abs(x).max(axis=1, keepdims=True)
    return (x - x.mean(axis=0)) / x.std(axis=0) if how == "zscore" else x


def record(package: str, values: list[dict[str, Any]]) -> None:
    """Write the package's values and what computed them beside this file."""
    made_by = {"python": platform.python_version()} | {
        name: version(name) for name in (package, "numpy", "scipy")
    }
    rows = ",\n".join(f"    {json.dumps(row)}" for row in values)
    text = f'{{\n  "made_by": {json.dumps(made_by)},\n  "values": [\n{rows}\n  ]\n}}\n'
    (FOLDER / f"{package}.json").write_text(text)


def recorded(package: str) -> list[dict[str, Any]]:
    """What `record` wrote."""
    rows: list[dict[str, Any]] = json.loads((FOLDER / f"{package}.json").read_text())["values"]
    return rows


def _pair(
    seed: int,
    n: int,
    dimensions: tuple[int, int],
    *,
    noise: float,
    offset: float = 0.0,
    spread: float = 0.0,
) -> tuple[Matrix, Matrix]:
    """Return two models that see the same 3 coordinates.

    offset: the length of the mean in deviations; spread: that of the logarithm of the lengths.
    """
    random = np.random.RandomState(seed)
    latent = random.normal(size=(n, 3))
    length = np.exp(spread * random.normal(size=(n, 1)))
    a, b = (
        latent @ random.normal(size=(3, d)) + noise * random.normal(size=(n, d)) for d in dimensions
    )
    return length * (a + offset * a.std()), length * (b + offset * b.std())
