"""From what an encoder returns of a system to its one float32 vector.

Where an encoder returns a row per node, the rows are pooled, in float64, channel by channel:

    mean    (1/n) Σ x_i; if no pooling is named, this one
    sum     Σ x_i, which grows with the system
    std     √((1/n) Σ (x_i − mean)²): the denominator is n, as the nodes are all that there are,
            so that a crystal and its supercell have the same
    max     the largest x_i

A representation's full name is that of its card, and ':' and the pooling if it is another than the
mean: `last_hidden`, `last_hidden:std`. `last_hidden:nodes` are the rows themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.encoder import NotApplicable, System

MEAN = "mean"
POOLINGS = (MEAN, "sum", "std", "max")
NODES = "nodes"  # in the place of a pooling: the rows are kept as they are
# The field of a system that has one element per node, by the input of the model. Nodes of other
# inputs, such as tokens of a SMILES, have no place in a system.
NODE_FIELDS = {"structure": "numbers", "sequence": "sequence", "backbone": "sequence"}


def split_name(name: str) -> tuple[str, str]:
    """Split the full name of a representation.

    Args:
        name: Such as 'last_hidden' or 'last_hidden:std'.

    Returns:
        The name in the card, and the pooling.
    """
    base, _, pooling = name.partition(":")
    return base, pooling or MEAN


def full_name(base: str, pooling: str) -> str:
    """Return the full name of a representation: the opposite of `split_name`.

    Args:
        base: The name in the card.
        pooling: One of POOLINGS, or NODES.
    """
    return base if pooling == MEAN else f"{base}:{pooling}"


def to_vector(
    value: Any, level: str, dimension: int, pooling: str = MEAN, repeats: float = 0.0
) -> np.ndarray:
    """Check what an encoder returned of one system, and pool it if it is a row per node.

    Args:
        value: An array of shape (n_nodes, dimension) if level is 'node', else (dimension,).
        level: 'node' or 'system', as the card says.
        dimension: The card's dimension of the representation.
        pooling: One of POOLINGS, for level 'node'.
        repeats: How closely the model repeats a vector, relative to its norm. Nodes that differ
            by no more are alike: their 'std' would be a direction drawn at random.

    Returns:
        The vector, float32 of shape (dimension,).

    Raises:
        ValueError: The shape is another one, a number is not finite in float32, or all are zero.
            The message is the reason that is stored.
        NotApplicable: 'std' is asked for, and all nodes are alike.
    """
    array = _checked(value, level, dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        if level == "node":
            array = _pool(array, pooling, repeats)
        return _to_float32(array)


def to_nodes(value: Any, dimension: int, system: System, kind: str) -> np.ndarray:
    """Check the rows that an encoder returned of one system, and keep them as they are.

    Args:
        value: An array of shape (n_nodes, dimension).
        dimension: The card's dimension of the representation.
        system: The system.
        kind: The input of the model, a key of NODE_FIELDS.

    Returns:
        The vectors of its atoms, in the order of `numbers`, or of its residues, in that of
        `sequence`: float32 of shape (n_nodes, dimension).

    Raises:
        ValueError: As of `to_vector`.
        NotApplicable: The model has more or fewer nodes than the system has atoms or residues, so
            that nobody knows which of them a row is of.
    """
    array, field = _checked(value, "node", dimension), NODE_FIELDS[kind]
    expected = len(getattr(system, field) if getattr(system, field) is not None else ())
    if len(array) != expected:
        what = "atoms" if field == "numbers" else "residues in its sequence"
        raise NotApplicable(
            f"the model gives {len(array)} nodes, and the system has {expected} {what}: which of "
            "them a vector is of is not known"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return _to_float32(array)


def _checked(value: Any, level: str, dimension: int) -> np.ndarray:
    """Return what an encoder gave as an array; raise ValueError if it has another shape."""
    array = np.asarray(value)
    expected_ndim = 2 if level == "node" else 1
    if array.ndim != expected_ndim or array.shape[-1] != dimension or 0 in array.shape:
        expected = f"(n_nodes, {dimension})" if level == "node" else f"({dimension},)"
        raise ValueError(
            f"the encoder returned an array of shape {array.shape}, expected {expected}"
        )
    return array


def _to_float32(array: np.ndarray) -> np.ndarray:
    """Return numbers as they are stored; raise ValueError if they may not be."""
    # Adding zero makes 0.0 of -0.0, which DuckDB does not tell apart.
    vector: np.ndarray = array.astype(np.float32) + np.float32(0)
    bad = np.count_nonzero(~np.isfinite(vector))
    if bad:
        raise ValueError(f"{bad} of the vector's {vector.size} numbers are not finite")
    if not vector.any():
        raise ValueError("the vector is all zeros")
    return vector


def _pool(rows: np.ndarray, pooling: str, repeats: float) -> np.ndarray:
    """Pool rows, (n, d), into one vector, (d,) float64 ('max' keeps their type)."""
    if pooling == "std":
        return _deviation(rows, repeats)
    if pooling == "max":
        return np.asarray(rows.max(axis=0))
    return np.asarray(getattr(rows, pooling)(axis=0, dtype=np.float64))


def _deviation(rows: np.ndarray, repeats: float) -> np.ndarray:
    deviation = rows.std(axis=0, dtype=np.float64)
    # Of the norms of the deviations from the mean, and of the rows, the root mean squares.
    spread = np.linalg.norm(deviation)
    norm = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1).mean())
    if spread <= repeats * norm:
        count = len(rows)
        raise NotApplicable(
            "std over nodes is 0, as it has one node"
            if count == 1
            else f"std over nodes is 0, as its {count} nodes have vectors that differ by no more "
            f"than the model repeats them ({repeats:g} of their norm)"
        )
    return np.asarray(deviation)
