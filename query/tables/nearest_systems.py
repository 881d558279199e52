"""The systems that one model sees as alike."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.metrics import Undefined
from query.reading.selection import Source, at_least_one, find_dataset, find_source
from query.reading.vectors import lists_to_table

ROW = "STRUCT(rank BIGINT, system_id VARCHAR, formula VARCHAR, similarity DOUBLE)"

VECTORS = """
    SELECT system_id, formula, vector FROM embeddings LEFT JOIN systems USING (system_id)
    WHERE model_id = $model AND representation = $representation
"""
OTHERS = (
    VECTORS
    + """
    AND system_id != $system AND ($dataset IS NULL OR starts_with(system_id, $dataset || '/')) ORDER BY system_id
"""
)
FAILURE = "SELECT status, reason FROM failures WHERE model_id = ? AND system_id = ?"
NEAREST_NAME = "SELECT system_id FROM systems ORDER BY jaro_winkler_similarity(system_id, ?) DESC, system_id LIMIT 1"


def nearest_systems(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    system_id: str,
    k: int | None,
    dataset: str | None,
) -> list[dict[str, object]]:
    """The k systems whose vectors have the largest cosine with this one's, itself left out: rows of `ROW`."""
    count = at_least_one("k", k, default=10)
    source = find_source(connection, model)
    if dataset is not None:
        find_dataset(connection, dataset)
    asked = _vector(connection, source, system_id)
    chosen = {"model": source.model_id, "representation": source.representation}
    table = connection.execute(
        OTHERS, chosen | {"system": system_id, "dataset": dataset}
    ).to_arrow_table()
    similarity = cosines(table.column("vector"), asked, source)
    # Rounded, so that of systems seen as equal the first by name comes first; an undefined cosine comes last.
    order = np.argsort(-np.round(similarity, 12), kind="stable")[:count]
    found = table.select(["system_id", "formula"]).take(order).to_pylist()
    values = [None if np.isnan(value) else float(value) for value in similarity[order]]
    return [
        {"rank": None if value is None else rank, **system, "similarity": value}
        for rank, (system, value) in enumerate(zip(found, values, strict=True), start=1)
    ]


def cosines(
    vectors: pa.ChunkedArray, asked: NDArray[np.float64], source: Source
) -> NDArray[np.float64]:
    """The cosine of each vector with one, (n,), NaN where either is zero. Raises ValueError if lengths differ."""
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


def _vector(
    connection: duckdb.DuckDBPyConnection, source: Source, system_id: str
) -> NDArray[np.float64]:
    """The system's vector. Raises ValueError that says why the model has none."""
    chosen = {
        "model": source.model_id,
        "representation": source.representation,
        "system": system_id,
    }
    found = connection.execute(f"{VECTORS} AND system_id = $system", chosen).fetchone()
    if found is not None:
        return np.array(found[2], dtype=np.float64)
    if (
        connection.execute("SELECT 1 FROM systems WHERE system_id = ?", [system_id]).fetchone()
        is None
    ):
        near = connection.execute(NEAREST_NAME, [system_id]).fetchone()
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"no system '{system_id}' in this store{hint}")
    failure = connection.execute(FAILURE, [source.model_id, system_id]).fetchone()
    because = f" ({failure[0]}: {failure[1]})" if failure else ""
    raise ValueError(f"{source.label} has no vector of '{system_id}'{because}")
