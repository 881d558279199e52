"""A small store of synthetic models whose alignments are known in advance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

import query
from schemas import store
from tests.query import nodes
from tests.query.layers import make_store
from tests.vectors import put

SIZES = {"crystals": 60, "molecules": 40}
DIMENSION = 16


def system_ids(dataset: str) -> list[str]:
    return [f"{dataset}/{i:03d}" for i in range(SIZES[dataset])]


def make_vectors(dataset: str) -> dict[str, NDArray[np.float32]]:
    """Return vectors by model (or model#representation), one row per system."""
    rng = np.random.default_rng(len(dataset))
    base = rng.normal(size=(SIZES[dataset], DIMENSION))
    turn, _ = np.linalg.qr(rng.normal(size=(DIMENSION, DIMENSION)))
    tables = {
        "base": base,
        "base#all": np.hstack([base, rng.normal(size=base.shape)]),
        "rotated": base @ turn,
        "scaled": base * 1e6,
        "near": base + 0.3 * rng.normal(size=base.shape),
        "far": base + 1.5 * rng.normal(size=base.shape),
        "noise": rng.normal(size=(SIZES[dataset], 8)),
        "constant": np.ones((SIZES[dataset], 4)),
        "partial": base,
        "stale": base,
        "ragged": base,
        "poisoned": np.where(np.arange(len(base))[:, None] == 3, np.nan, base),
    }
    return {name: table.astype(np.float32) for name, table in tables.items()}


def fill(connection: duckdb.DuckDBPyConnection) -> None:
    for dataset in SIZES:
        ids = system_ids(dataset)
        connection.execute(
            "INSERT INTO datasets VALUES "
            "(?, 'Synthetic', 'here', 'CC0-1.0', ?, 0, 'hash', NULL, now())",
            [dataset, len(ids)],
        )
        connection.execute(
            "INSERT INTO systems (system_id, dataset, content_hash, formula) "
            "SELECT unnest($ids) AS id, $dataset, 'content of ' || id, "
            "'X' || split_part(id, '/', 2)",
            {"ids": ids, "dataset": dataset},
        )
        for name, table in make_vectors(dataset).items():
            ids, models, names, contents, vectors = zip(
                *embeddings(dataset, name, table), strict=True
            )
            put(
                connection,
                models[0],
                ids,
                vectors,
                representation=names[0],
                content=contents,
                run_id=f"{models[0]}-{names[0]}-{dataset}",
            )
    for name in [*make_vectors("crystals"), "empty"]:
        if "#" not in name:
            connection.execute(
                "INSERT INTO models VALUES "
                "(?, 'family', 'A model', 'structure', 'last', NULL, NULL, NULL, NULL, "
                "'MIT', 'MIT', '{}', 'hash')",
                [name],
            )
    connection.execute(
        "INSERT INTO failures VALUES ('crystals/000', 'crystals', 'partial', 'last', 'x', 'run', "
        "'not_applicable', 'does not know Xx')"
    )
    for model, value in {
        "near": 0.1,
        "far": 0.5,
        "noise": 0.9,
        "rotated": 0.05,
        "elsewhere": 0.2,
    }.items():
        connection.execute(
            "INSERT INTO scores VALUES (?, 'energy_mae', ?, 'eV/atom', 'test', 'paper')",
            [model, value],
        )


def embeddings(
    dataset: str, name: str, table: NDArray[np.float32]
) -> list[tuple[str, str, str, str, list[float]]]:
    """Return rows of embeddings.

    'partial' lacks ten systems, 'stale' saw other content in five, 'ragged' has a short vector.
    """
    model, _, representation = name.partition("#")
    rows = []
    for i, (system, vector) in enumerate(zip(system_ids(dataset), table.tolist(), strict=True)):
        if model == "partial" and i < 10:
            continue
        content = "old content" if model == "stale" and i < 5 else f"content of {system}"
        short = vector[:-1] if model == "ragged" and i == 7 else vector
        rows.append((system, model, representation or "last", content, short))
    # Neither the store nor a query promises an order of rows.
    return rows[::-1]


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("store") / "matter.duckdb"
    with store.connect(path) as connection:
        fill(connection)
    with opened(path):
        yield path


def opened(path: Path) -> duckdb.DuckDBPyConnection:
    """Keep a store open, so that connections to it cost a third of the time.

    What DuckDB does when the last connection closes is tested on stores that are not kept so.
    """
    return store.connect(path, read_only=True)


def fill_energies(connection: duckdb.DuckDBPyConnection) -> None:
    """Add atoms to the crystals, their labels 'energy', and what models predict.

    Labels are of 'DFT' in meV and of 'force field' in eV. The first two crystals are the only ones
    with elements 2, and 3 and 4. 'base' is right but for the zeros of its elements, 'near', 'noise'
    and 'rotated' are off by more and more, 'far' lacks 20, 'elsewhere' is no model.
    """
    rng = np.random.default_rng(7)
    counts = rng.integers(1, 6, size=(SIZES["crystals"], 7))
    counts[:, :3], counts[0, 0], counts[1, 1:3] = 0, 1, 1
    numbers = [np.repeat([2, 3, 4, 1, 6, 8, 26], row).tolist() for row in counts]
    atoms, zeros = counts.sum(axis=1), rng.normal(size=(2, 7)) * 10
    truth = counts @ zeros[0] + rng.normal(size=len(counts)) * atoms**0.5
    ids = system_ids("crystals")
    connection.execute(
        "CREATE TEMP TABLE atoms AS SELECT unnest(?) AS id, unnest(?) AS numbers", [ids, numbers]
    )
    connection.execute(
        "UPDATE systems SET numbers = atoms.numbers, n_atoms = len(atoms.numbers) "
        "FROM atoms WHERE id = system_id"
    )
    off = {"base": 0.0, "near": 0.1, "rotated": 0.9, "noise": 0.5, "far": 0.2}
    energies = {"DFT": truth * 1e3, "force field": truth + 1}
    for model, error in off.items():
        energies[model] = truth + counts @ zeros[1] + error * rng.normal(size=len(counts))
    for source, values in energies.items():
        unit, few = ("meV" if source == "DFT" else "eV"), 20 if source == "far" else 0
        columns = [ids[few:], values[few:].tolist(), unit, source]
        connection.execute(
            "INSERT INTO labels SELECT unnest(?), 'energy', unnest(?), ?, ?", columns
        )


@pytest.fixture(scope="session")
def energies_path(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store with energies, of which `energies` is a connection."""
    path = tmp_path_factory.mktemp("energies") / "matter.duckdb"
    path.write_bytes(store_path.read_bytes())
    with store.connect(path) as connection:
        fill_energies(connection)
    with opened(path):
        yield path


@pytest.fixture
def energies(energies_path: Path, lender: Lender) -> duckdb.DuckDBPyConnection:
    return lender.lend(energies_path)


@pytest.fixture(scope="session")
def vectors() -> dict[str, NDArray[np.float32]]:
    """Return the crystals' vectors by model, rows in order of system_id.

    They are complete also for 'partial', 'stale' and 'ragged'.
    """
    return make_vectors("crystals")


@pytest.fixture(scope="session")
def layers_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = make_store(tmp_path_factory.mktemp("layers") / "matter.duckdb")
    with opened(path):
        yield path


@pytest.fixture
def layers(layers_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Three models with layers, and one without; for reading only."""
    with query.connect(layers_path) as connection:
        yield connection


@pytest.fixture(scope="session")
def nodes_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three models with vectors of atoms or residues, and one without; for reading only."""
    path = nodes.make_store(tmp_path_factory.mktemp("nodes") / "matter.duckdb")
    with opened(path):
        yield path


class Lender:
    """Lends one connection per store to one test after another.

    To give a connection all functions takes longer than most tests. A test has a new one if another
    has closed the last one, or changed what `_STATE` holds, through this or another connection.
    """

    def __init__(self) -> None:
        self.kept: dict[Path, tuple[duckdb.DuckDBPyConnection, object]] = {}

    def lend(self, path: Path) -> duckdb.DuckDBPyConnection:
        if path in self.kept:
            connection, before = self.kept[path]
            if _state(connection) == before:
                return connection
            connection.close()
        connection = query.connect(path)
        self.kept[path] = connection, _state(connection)
        return connection


_STATE = (
    "FROM duckdb_settings()",
    "FROM duckdb_variables()",
    "SELECT database_name, path FROM duckdb_databases()",
    "SELECT database_name, schema_name, table_name FROM duckdb_tables()",
    "SELECT database_name, schema_name, view_name FROM duckdb_views()",
    "FROM duckdb_prepared_statements()",
)


def _state(connection: duckdb.DuckDBPyConnection) -> list[object] | None:
    """Return what a test may have changed in a connection, None if it cannot say."""
    try:
        return [connection.execute(sql).fetchall() for sql in _STATE]
    except duckdb.Error:
        return None


@pytest.fixture(scope="session")
def lender() -> Iterator[Lender]:
    lender = Lender()
    yield lender
    for connection, _ in lender.kept.values():
        connection.close()


@pytest.fixture
def con(store_path: Path, lender: Lender) -> duckdb.DuckDBPyConnection:
    """The small store; a test may change its settings and make temporary tables."""
    return lender.lend(store_path)
