"""Stores to draw: a small one with values that can be computed by hand, and one of 60 models.

Every model sees four coordinates that all trained models share and four that its family shares; an
untrained twin sees those of its family alone. So what models of different families share beyond
their twins was learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pytest
from duckdb import DuckDBPyConnection as Connection
from numpy.typing import NDArray

import query
from query.statements import Kept, keep_answers
from schemas import store
from schemas.views import write_views
from tests.query.conftest import opened
from tests.vectors import put

DATASETS = ("crystals", "molecules")
N = 60
SMALL = {"alpha": 3, "beta": 3}
# Families of several sizes, with names as long as those of real ones.
LARGE = dict(
    zip((f"family-{i:02d}" for i in range(12)), (12, 10, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1), strict=True)
)
TRAINING = (["OC20"], ["OC20", "OC22"], ["PDB", "QM9", "ZINC", "S22"])
Table = NDArray[np.float32]
Lend = Callable[[], AbstractContextManager[Connection]]


def model_names(families: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return each model with its family: alpha-0, alpha-1, …"""
    return [(f"{family}-{i}", family) for family, size in families.items() for i in range(size)]


def make_vectors(families: Mapping[str, int], dataset: int, n: int = N) -> dict[str, Table]:
    """Return the vectors by model, (n, 8) float32, on the dataset of this number."""
    rng = np.random.default_rng(dataset)
    shared = rng.normal(size=(n, 4))
    seen = {family: rng.normal(size=(n, 4)) for family in families}
    tables = {}
    for model, family in model_names(families):
        view, noise = rng.normal(size=(4, 8)), 0.5 * rng.normal(size=(n, 8))
        tables[f"{model}@untrained"] = seen[family] @ view + noise
        tables[model] = 0.7 * shared @ rng.normal(size=(4, 8)) + 0.8 * seen[family] @ view + noise
    tables["counts"] = np.round(shared @ rng.normal(size=(4, 6)))
    tables["rings"] = rng.normal(size=(n, 6))
    return {
        name: table.astype(np.float32) for name, table in (tables | make_controls(rng, n)).items()
    }


def make_controls(rng: np.random.Generator, n: int) -> dict[str, Table]:
    yard = rng.normal(size=(n, 8))
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    return {
        "yard": yard,
        "yard-rotated": yard @ turn,
        "yard-shuffled": yard[rng.permutation(n)],
        "flat": np.ones((n, 8)),
    }


CONTROLS = {"yard": "same", "yard-rotated": "same", "yard-shuffled": "chance", "flat": "undefined"}


def make_store(path: Path, families: Mapping[str, int], n: int = N) -> Path:
    """Make a store of these families, with twins, two descriptors, controls and two datasets."""
    with store.connect(path) as connection:
        for number, dataset in enumerate(DATASETS):
            connection.execute(
                "INSERT INTO datasets "
                "VALUES (?, 'Made up', 'here', 'CC0-1.0', ?, 0, 'hash', NULL, now())",
                [dataset, n],
            )
            connection.execute(
                "INSERT INTO systems (system_id, dataset, content_hash, formula, n_atoms) "
                "SELECT format('{}/{:03d}', $dataset, i), $dataset, 'c', 'X' || i, 1 + i % 7 "
                "FROM range($n) t(i)",
                {"dataset": dataset, "n": n},
            )
            for model, table in make_vectors(families, number, n).items():
                insert_vectors(connection, dataset, model, table, view=False)
        write_views(connection, path)
        add_models(connection, families)
    return path


def add_models(connection: duckdb.DuckDBPyConnection, families: Mapping[str, int]) -> None:
    for place, (model, family) in enumerate(model_names(families)):
        training = TRAINING[place % len(TRAINING)]
        add_model(connection, model, family, training, parameters=1000)
        add_model(connection, f"{model}@untrained", family, [], parameters=1000, untrained_of=model)
    for model in ("counts", "rings"):
        add_model(connection, model, "plain", [], input="smiles")
    for model, expected in CONTROLS.items():
        add_model(
            connection, model, "checks", [], card={"control": {"of": "yard", "expect": expected}}
        )


def add_model(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    family: str,
    training: list[str] | None,
    *,
    input: str = "structure",
    parameters: int = 0,
    untrained_of: str | None = None,
    card: Mapping[str, object] | None = None,
) -> None:
    connection.execute(
        "INSERT INTO models "
        "VALUES (?, ?, 'A model', ?, 'last', ?, ?, NULL, ?, 'MIT', 'MIT', ?, 'hash')",
        [model, family, input, untrained_of, parameters, training, json.dumps(card or {})],
    )


def insert_vectors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    model: str,
    table: Table,
    *,
    view: bool = True,
) -> None:
    """Insert the vectors of a model, one row per system; see `put`."""
    put(connection, model, [f"{dataset}/{i:03d}" for i in range(len(table))], table, view=view)


@pytest.fixture(scope="session")
def small_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = make_store(tmp_path_factory.mktemp("small") / "matter.duckdb", SMALL)
    with opened(path):
        yield path


@pytest.fixture(scope="session")
def large_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = make_store(tmp_path_factory.mktemp("large") / "matter.duckdb", LARGE)
    with opened(path):
        yield path


@contextmanager
def asked_once(path: Path) -> Iterator[Lend]:
    """Open a store that no test changes, and run no statement twice for all tests together."""
    kept: Kept = {}
    with query.connect(path) as connection:

        @contextmanager
        def lend() -> Iterator[Connection]:
            with keep_answers(kept):
                yield connection
            assert {number for number, _ in kept} <= {id(connection)}, "another store was asked"

        yield lend


@pytest.fixture(scope="session")
def _small(small_path: Path) -> Iterator[Lend]:
    with asked_once(small_path) as lend:
        yield lend


@pytest.fixture(scope="session")
def _large(large_path: Path) -> Iterator[Lend]:
    with asked_once(large_path) as lend:
        yield lend


@pytest.fixture
def small(_small: Lend) -> Iterator[Connection]:
    """Two families of three models, two descriptors, controls; for reading only."""
    with _small() as connection:
        yield connection


@pytest.fixture
def large(_large: Lend) -> Iterator[Connection]:
    """60 models of twelve families, two descriptors, controls; for reading only."""
    with _large() as connection:
        yield connection


@pytest.fixture
def own(small_path: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the small store that a test may write to."""
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(small_path.read_bytes())
    with query.connect(copy, read_only=False) as connection:
        yield connection
