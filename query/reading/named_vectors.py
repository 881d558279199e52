"""Vectors of one model with the systems that they are of."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from query.engine.undefined import Undefined
from query.reading.dataset_files import DatasetFiles
from query.reading.files import faults
from query.reading.kept.files import KeptFiles
from query.reading.selection import OF_DATASET, Selection, Source
from query.reading.vectors import VECTORS, StoredVectors, Vectors

_FORMULAS = f"SELECT system_id, formula FROM systems WHERE {OF_DATASET}"
_SYSTEMS = VECTORS.replace("SELECT vector", "SELECT system_id, content_hash")


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
    files = KeptFiles.of(connection, selection.dataset, selection.systems)
    keys = _read_systems(connection, files, source, selection)
    if not keys.num_rows:
        asked = "" if selection.systems is None else " that are listed"
        raise Undefined(f"no vectors of {source.label} on systems of {selection.dataset}{asked}")
    ids = keys["system_id"].to_pylist()
    formulas = dict(connection.execute(_FORMULAS, selection.parameters()).fetchall())
    return NamedVectors(
        ids,
        keys["content_hash"].to_pylist(),
        [formulas.get(system) for system in ids],
        StoredVectors(connection, selection).read(source)
        if files is None
        else files.read_vectors((source.model_id, source.representation), source.label),
    )


def _read_systems(
    connection: duckdb.DuckDBPyConnection,
    files: DatasetFiles | None,
    source: Source,
    selection: Selection,
) -> pa.Table:
    """Return system_id and content_hash of a model's vectors, in their order."""
    model = source.model_id, source.representation
    if files is None:  # they are in a table
        chosen = {"model": source.model_id, "representation": source.representation}
        found = connection.execute(_SYSTEMS, chosen | selection.parameters())
        return found.to_arrow_table()
    damage = faults(f for f in files.files if (f.model_id, f.representation) == model)
    if damage:
        raise ValueError(damage[model])
    return files.read_keys(model)
