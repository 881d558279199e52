"""A store of few models, and questions that are asked of it in strips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch

import query
from query.strips.cutting import list_units, pair_units, sum_units
from query.strips.question import Question, question_folder, write_question
from query.tables.models.alignment_matrix import Row, alignment_matrix
from query.tables.shared.options import Options
from tests import vectors as vectors_of
from tests.query import stores

N = 600  # systems, which are two rows of tiles
METRICS = "cknna, cka, distance_correlation, information_imbalance, procrustes"
HOW: dict[str, Any] = {"metric": METRICS, "permutations": 2, "device": "cpu"}


class Count:
    """A `Progress` that counts the products that are expected."""

    def __init__(self) -> None:
        self.products = 0

    def expect(self, products: int) -> None:
        self.products += products

    def advance(self, products: int) -> None: ...


def fill(path: Path) -> Path:
    """Make a store of three models; the first has ties, the second twins, the last half."""
    tables = stores.tables(3, N, 4)
    tables["m0"] = np.round(tables["m0"]) + 0.5
    tables["m1"][:20] = tables["m1"][0]
    stores.make(path, tables)
    with query.connect(path, read_only=False, functions=False) as connection:
        vectors_of.remove(connection, "model_id = ?", ["m2"])
        ids = [f"{stores.DATASET}/{i:05d}" for i in range(0, N, 2)]
        vectors_of.put(connection, "m2", ids, tables["m2"][::2])
    return path


def begin(
    store: Path, connection: duckdb.DuckDBPyConnection, **options: Any
) -> tuple[str, list[str]]:
    """Ask, and return the key and the names of the strips."""
    question = Question(
        stores.DATASET, None, "pairwise", HOW | options, torch.get_num_threads(), "again"
    )
    key, plan = question.key(connection), question.plan(connection)
    units = [*list_units(plan), *sum_units(plan, question.side), *pair_units(plan)]
    write_question(question_folder(store, key), question, len(units))
    return key, [unit.name for unit in units]


def ask(connection: duckdb.DuckDBPyConnection, **options: Any) -> tuple[list[Row], int]:
    """Return the rows of the question, and how many products they took."""
    count = Count()
    given = Options(**(HOW | options), progress=count)
    return list(alignment_matrix(connection, stores.DATASET, options=given)), count.products
