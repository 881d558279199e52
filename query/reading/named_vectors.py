"""Vectors of one model with the systems that they are of."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from query.engine.undefined import Undefined
from query.reading.selection import OF_DATASET, Selection, Source
from query.reading.vectors import StoredVectors, Vectors, refuse_damaged

# In the order of `StoredVectors.read`.
_SYSTEMS = f"""
    SELECT e.system_id, e.content_hash, systems.formula
    FROM embeddings e LEFT JOIN systems USING (system_id)
    WHERE model_id = $model AND representation = $representation
    AND {OF_DATASET.replace("system_id", "e.system_id")}
    ORDER BY e.system_id, e.content_hash
"""


@dataclass(frozen=True)
class NamedVectors:
    """What a model sees of n systems, in order of system_id.

    Attributes:
        systems: Their ids.
        contents: The hashes of what they are, content_hash.
        formulas: Their formulas.
        vectors: (n, d).
    """

    systems: list[str]
    contents: list[str]
    formulas: list[str | None]
    vectors: Vectors


def read_named_vectors(
    connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection
) -> NamedVectors:
    """Return the vectors of a model on some systems, at least one.

    Args:
        connection: A store.
        source: The model.
        selection: The systems.

    Raises:
        Undefined: There are no vectors, or they differ in length.
        ValueError: A file of vectors is damaged.
    """
    refuse_damaged(connection, [source], selection.dataset)
    chosen = {"model": source.model_id, "representation": source.representation}
    table = connection.execute(_SYSTEMS, chosen | selection.parameters()).to_arrow_table()
    if not table.num_rows:
        asked = "" if selection.systems is None else " that are listed"
        raise Undefined(f"no vectors of {source.label} on systems of {selection.dataset}{asked}")
    vectors = StoredVectors(connection, selection).read(source)
    ids, contents, formulas = (column.to_pylist() for column in table.columns)
    return NamedVectors(ids, contents, formulas, vectors)
