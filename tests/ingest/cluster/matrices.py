"""A question for a matrix that takes some seconds, so that a node can be lost meanwhile."""

from __future__ import annotations

from pathlib import Path

import query
from query.tables.models.alignment_matrix import Row, alignment_matrix
from query.tables.shared.options import Options
from tests.query import stores

METRICS = "cknna,distance_correlation"
N = 6000  # systems: of each model two strips of lists, and twelve of sums


def make(store: Path) -> list[str]:
    """Make a store of three models, and return the command that asks for their matrix."""
    stores.make(store, stores.tables(3, N, 24))
    return ["matrix", stores.DATASET, "--metric", METRICS, "--permutations", "3"]


def ask(store: Path) -> tuple[list[Row], int]:
    """Return the rows of the same question, and how many products they took."""
    products: list[int] = []

    class Count:
        expect = products.append

        def advance(self, products: int) -> None: ...

    how = Options(METRICS, permutations=3, device="cpu", progress=Count())
    with query.connect(store, functions=False) as connection:
        return list(alignment_matrix(connection, stores.DATASET, options=how)), sum(products)
