"""From what an encoder returns of a system to its one float32 vector."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_vector(value: Any, level: str, dimension: int) -> np.ndarray:
    """Check what an encoder returned of one system, and pool it if it is a row per node.

    Args:
        value: An array of shape (n_nodes, dimension) if level is 'node', else (dimension,).
        level: 'node' or 'system', as the card says.
        dimension: The card's dimension of the representation.

    Returns:
        The vector, float32 of shape (dimension,): the mean over nodes, computed in float64.

    Raises:
        ValueError: The shape is another one, a number is not finite in float32, or all are zero.
            The message is the reason that is stored.
    """
    array = np.asarray(value)
    expected_ndim = 2 if level == "node" else 1
    if array.ndim != expected_ndim or array.shape[-1] != dimension or 0 in array.shape:
        expected = f"(n_nodes, {dimension})" if level == "node" else f"({dimension},)"
        raise ValueError(
            f"the encoder returned an array of shape {array.shape}, expected {expected}"
        )
    if level == "node":
        array = array.mean(axis=0, dtype=np.float64)
    with np.errstate(over="ignore"):
        # Adding zero makes 0.0 of -0.0, which DuckDB does not tell apart.
        vector = array.astype(np.float32) + np.float32(0)
    bad = np.count_nonzero(~np.isfinite(vector))
    if bad:
        raise ValueError(f"{bad} of the vector's {dimension} numbers are not finite")
    if not vector.any():
        raise ValueError("the vector is all zeros")
    return vector
