"""Made-up models for the benches, and stores that hold them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from schemas.store import connect
from tests.vectors import put

LATENT = 32
DATASET = "bench"


def vectors(seed: int, systems: int, dimensions: int) -> NDArray[np.float32]:
    """Return one model, (systems, dimensions).

    It has 32 latent directions that all seeds share, and noise of its own.
    """
    shared = np.random.default_rng(0).standard_normal((systems, LATENT), dtype=np.float32)
    own = np.random.default_rng(seed)
    mixed: NDArray[np.float32] = shared @ own.standard_normal(
        (LATENT, dimensions), dtype=np.float32
    )
    mixed += 2 * own.standard_normal((systems, dimensions), dtype=np.float32)
    return mixed


def create(path: Path, systems: int) -> duckdb.DuckDBPyConnection:
    """Return a store to write to that knows the dataset 'bench', still without models."""
    connection = connect(path, read_only=False)
    connection.execute(
        "INSERT INTO datasets VALUES (?, 'bench', 'made', 'none', ?, 0, '', NULL, now())",
        [DATASET, systems],
    )
    return connection


def add(connection: duckdb.DuckDBPyConnection, model_id: str, rows: NDArray[np.float32]) -> None:
    """Add a model with these vectors, (systems, dimensions)."""
    ids = [f"{DATASET}/{i:07}" for i in range(len(rows))]
    put(connection, model_id, ids, rows, representation="v", content="hash")
    connection.execute(
        "INSERT INTO models VALUES "
        "(?, 'bench', ?, 'any', 'v', NULL, NULL, NULL, NULL, 'none', 'none', '{}', '')",
        [model_id, model_id],
    )
