"""nearest_systems(model, system_id, …): the systems that a model sees as most like one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.metrics import Undefined
from query.reading.selection import Source, find_dataset, find_source
from query.reading.vectors import lists_to_table, refuse_damaged
from query.tables.shared.declare import REQUIRED, Parameter, TableFunction
from query.tables.shared.parameters import MODEL

_VECTORS = """
    SELECT system_id, formula, vector FROM embeddings LEFT JOIN systems USING (system_id)
    WHERE model_id = $model AND representation = $representation
"""
_OTHERS = f"""
    {_VECTORS} AND ($system IS NULL OR system_id != $system)
    AND ($dataset IS NULL OR starts_with(system_id, $dataset || '/')) ORDER BY system_id
"""
_FAILURE = "SELECT status, reason FROM failures WHERE model_id = ? AND system_id = ?"
_NEAREST_NAME = """
    SELECT system_id FROM systems
    ORDER BY jaro_winkler_similarity(system_id, ?) DESC, system_id LIMIT 1
"""
_DIGITS = 12  # of cosines that are compared: of systems seen as equal the first by name comes first


@dataclass(frozen=True)
class Row:
    """A system, and how alike the model sees it."""

    rank: Annotated[int | None, "1 is the most alike; NULL without a cosine"]
    system_id: Annotated[str, "the system"]
    formula: Annotated[str | None, "its formula"]
    similarity: Annotated[float | None, "the cosine of both vectors; NULL if either is zero"]


def nearest_systems(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    system_id: str,
    k: int = 10,
    dataset: str | None = None,
) -> Sequence[Row]:
    """Find the systems with vectors of the largest cosine with that of one, itself left out.

    Args:
        connection: A connection to a store.
        model: The model, or model#representation.
        system_id: The system.
        k: How many systems are returned.
        dataset: Where to look; None is all datasets.

    Returns:
        The most alike first; systems without a cosine last.

    Raises:
        ValueError: If the store has no such model, system or dataset, or the model has no vector
            of the system; the message says why.
    """
    source = find_source(connection, model)
    if dataset is not None:
        find_dataset(connection, dataset)
    refuse_damaged(connection, [source], dataset)
    asked = _read_vector(connection, source, system_id)
    return nearest_to(connection, source, asked, k, dataset, system_id)


def nearest_to(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    asked: NDArray[np.float64],
    k: int,
    dataset: str | None = None,
    left_out: str | None = None,
) -> list[Row]:
    """Find the systems with vectors of the largest cosine with a vector.

    Args:
        connection: A connection to a store.
        source: The model.
        asked: The vector, (d,).
        k: How many systems are returned.
        dataset: A dataset of the store, where to look; None is all datasets.
        left_out: The id of a system that is not returned.

    Returns:
        The most alike first; systems without a cosine last.

    Raises:
        ValueError: Vectors of the store have another length.
    """
    chosen = {"model": source.model_id, "representation": source.representation}
    table = connection.execute(
        _OTHERS, chosen | {"system": left_out, "dataset": dataset}
    ).to_arrow_table()
    similarity = _cosines(table.column("vector"), asked, source)
    order = np.argsort(-np.round(similarity, _DIGITS), kind="stable")[:k]  # NaN comes last
    found = table.select(["system_id", "formula"]).take(order).to_pylist()
    values = [None if np.isnan(value) else float(value) for value in similarity[order]]
    return [
        Row(rank=None if value is None else rank, similarity=value, **system)
        for rank, (system, value) in enumerate(zip(found, values, strict=True), start=1)
    ]


def _cosines(
    vectors: pa.ChunkedArray, asked: NDArray[np.float64], source: Source
) -> NDArray[np.float64]:
    """Return the cosine of each vector with one, (n,), NaN where either is zero."""
    try:
        parts = [lists_to_table(chunk, source.label) for chunk in vectors.chunks]
    except Undefined as undefined:
        raise ValueError(str(undefined)) from undefined
    found = [_cosine(part.astype(np.float64), asked) for part in parts if len(part)]
    return np.concatenate(found) if found else np.empty(0)


def _cosine(rows: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    if rows.shape[1] != asked.size:
        raise ValueError(
            f"vectors of {rows.shape[1]} dimensions cannot be compared with one of {asked.size}"
        )
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(asked)
    with np.errstate(invalid="ignore"):
        cosine: NDArray[np.float64] = np.clip((rows @ asked) / lengths, -1.0, 1.0)
    return cosine


def _read_vector(
    connection: duckdb.DuckDBPyConnection, source: Source, system_id: str
) -> NDArray[np.float64]:
    """Return the system's vector. Raises ValueError that says why the model has none."""
    chosen = {
        "model": source.model_id,
        "representation": source.representation,
        "system": system_id,
    }
    found = connection.execute(f"{_VECTORS} AND system_id = $system", chosen).fetchone()
    if found is not None:
        return np.array(found[2], dtype=np.float64)
    known = connection.execute("SELECT 1 FROM systems WHERE system_id = ?", [system_id])
    if known.fetchone() is None:
        near = connection.execute(_NEAREST_NAME, [system_id]).fetchone()
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"no system '{system_id}' in this store{hint}")
    failure = connection.execute(_FAILURE, [source.model_id, system_id]).fetchone()
    because = f" ({failure[0]}: {failure[1]})" if failure else ""
    raise ValueError(f"{source.label} has no vector of '{system_id}'{because}")


TABLE_FUNCTION = TableFunction(
    "The systems that a model sees as most like this one, by cosine similarity; "
    "without a dataset, from all of them",
    Row,
    (
        MODEL,
        Parameter("system_id", "VARCHAR", REQUIRED, "the system"),
        Parameter("k", "BIGINT", 10, "how many systems", least=1),
        Parameter("dataset", "VARCHAR", None, "where to look; NULL is all datasets"),
    ),
    nearest_systems,
)
