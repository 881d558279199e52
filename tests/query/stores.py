"""Stores of enough systems that questions take a while, and that neighbor lists are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import store
from tests import vectors as vectors_of

DATASET = "many"
Table = NDArray[np.float32]


def tables(models: int, n: int, dimension: int, seed: int = 0) -> dict[str, Table]:
    """Return vectors by model, m0, m1, ….

    All see the same 4 coordinates, each with noise of its own.
    """
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(n, 4))
    return {
        f"m{i}": (seen @ rng.normal(size=(4, dimension)) + rng.normal(size=(n, dimension))).astype(
            np.float32
        )
        for i in range(models)
    }


def make(path: Path, vectors: dict[str, Table]) -> Path:
    """Make a store of these models on one dataset."""
    n = len(next(iter(vectors.values())))
    with store.connect(path) as connection:
        connection.execute(
            "INSERT INTO datasets VALUES (?, 'Many', 'here', 'CC0-1.0', ?, 0, 'hash', NULL, now())",
            [DATASET, n],
        )
        for model in vectors:
            connection.execute(
                "INSERT INTO models VALUES "
                "(?, 'family', 'A model', 'structure', 'last', NULL, NULL, NULL, NULL, "
                "'MIT', 'MIT', '{}', 'hash')",
                [model],
            )
    put(path, vectors)
    return path


def put(path: Path, vectors: dict[str, Table]) -> None:
    """Put vectors of models in place of those that the store has."""
    with store.connect(path) as connection:
        for model, x in vectors.items():
            vectors_of.remove(connection, "model_id = ?", [model])
            vectors_of.put(connection, model, [f"{DATASET}/{i:05d}" for i in range(len(x))], x)
