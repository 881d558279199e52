"""Vectors out of the store, as tables (n, d), and which systems have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.engine.undefined import Undefined
from query.reading.files import find_damage, read_files, store_with_files
from query.reading.selection import OF_DATASET, Selection, Source

Vectors = NDArray[np.float32]
T = TypeVar("T", np.float32, np.float64)
NO_VECTORS: Vectors = np.empty((0, 0), dtype=np.float32)

# What a set of systems is told by, found without sorting it: 128 bits, as the sum and the exclusive
# or of two hashes of each system, and their number.
FINGERPRINTS = f"""
    SELECT model_id, representation, count(*), sum(one), sum(other), bit_xor(one), bit_xor(other)
    FROM (
        SELECT
            model_id,
            representation,
            hash(system_id, content_hash) AS one,
            hash(content_hash, system_id) AS other
        FROM embeddings
        WHERE (model_id, representation) IN (SELECT unnest($models), unnest($representations))
            AND {OF_DATASET}
    )
    GROUP BY ALL
"""

KEYS = f"""
    WITH found AS (
        SELECT
            model_id,
            representation,
            dense_rank() OVER (ORDER BY system_id, content_hash) AS code
        FROM embeddings
        WHERE (model_id, representation) IN (SELECT unnest($models), unnest($representations))
            AND {OF_DATASET}
    )
    SELECT model_id, representation, list(code ORDER BY code) AS codes FROM found GROUP BY ALL
"""

VECTORS = f"""
    SELECT vector FROM embeddings
    WHERE model_id = $model AND representation = $representation AND {OF_DATASET}
    ORDER BY system_id, content_hash
"""


def read_keys(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], selection: Selection
) -> dict[Source, NDArray[np.int64]]:
    """Return the systems of each model as ascending codes.

    Equal codes mean equal system_id and content_hash. The order of codes is that of system_id, and
    the order in which `read_vectors` returns the vectors of the same model. Systems are sorted once
    for all models that have the same.

    Args:
        connection: A store.
        sources: The models.
        selection: The systems that are asked for.

    Raises:
        ValueError: The store has two vectors of one system, or a file of vectors is damaged.
    """
    refuse_damaged(connection, sources, selection.dataset)
    asked = [(source.model_id, source.representation) for source in sources]
    rows = connection.execute(FINGERPRINTS, _named(asked) | selection.parameters()).fetchall()
    alike: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
    for model_id, representation, *fingerprint in sorted(rows):
        alike.setdefault(tuple(fingerprint), []).append((model_id, representation))
    first = {names[0]: names for names in alike.values()}
    table = connection.execute(KEYS, _named(list(first)) | selection.parameters()).to_arrow_table()
    found = {
        name: codes.values.to_numpy()
        for model_id, representation, codes in zip(*table.columns, strict=True)
        for name in first[model_id.as_py(), representation.as_py()]
    }
    keys = {
        source: found.get(name, np.empty(0, dtype=np.int64))
        for source, name in zip(sources, asked, strict=True)
    }
    for source, codes in keys.items():
        if np.any(np.diff(codes) == 0):
            raise ValueError(
                f"{source.label} has two vectors of one system of {selection.dataset}: "
                "run `matterzoo rebuild`"
            )
    return keys


def refuse_damaged(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], dataset: str | None
) -> None:
    """Refuse to answer without vectors that the store should have.

    Args:
        connection: A store.
        sources: The models.
        dataset: The dataset; None for all.

    Raises:
        ValueError: A file of vectors is damaged; the message names it and what mends it.
    """
    damage = find_damage(connection, dataset)
    for source in sources:
        if (source.model_id, source.representation) in damage:
            raise ValueError(damage[source.model_id, source.representation])


def _named(names: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {
        "models": [model_id for model_id, _ in names],
        "representations": [representation for _, representation in names],
    }


def read_vectors(
    connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection
) -> Vectors:
    """Return the vectors of one model, (n, d), in order of system_id.

    Args:
        connection: A store.
        source: The model.
        selection: The systems that are asked for.

    Raises:
        Undefined: The vectors differ in length, or a file of them is damaged.
    """
    if store_with_files(connection) is not None:
        return read_files(
            connection,
            source.model_id,
            source.representation,
            selection.dataset,
            selection.systems,
            source.label,
        )
    chosen = {"model": source.model_id, "representation": source.representation}
    table = connection.execute(VECTORS, chosen | selection.parameters()).to_arrow_table()
    return column_to_table(table.column("vector"), source.label)


class Reader:
    """Reads models on a selection of systems, and keeps the one that was read last.

    A cache of neighbor lists asks for the same vectors once more.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
        """Take a store and a selection; nothing is read yet.

        Args:
            connection: A store.
            selection: The systems that are asked for.
        """
        self._connection, self._selection = connection, selection
        self._last: tuple[Source, Vectors] | None = None

    def read(self, source: Source) -> Vectors:
        """Return the vectors of one model, (n, d); see `read_vectors`.

        Args:
            source: The model.
        """
        if self._last is None or self._last[0] != source:
            self._last = None
            self._last = source, read_vectors(self._connection, source, self._selection)
            # Arrow would keep three times the size of the vectors for what it reads next.
            pa.default_memory_pool().release_unused()
        return self._last[1]


def column_to_table(vectors: pa.ChunkedArray, name: str) -> Vectors:
    """Return a column of lists as a table, (n, d).

    Args:
        vectors: The column, without NULL rows.
        name: How reasons call the model.

    Raises:
        Undefined: The vectors differ in length.
    """
    parts = [lists_to_table(chunk, name) for chunk in vectors.chunks if len(chunk)]
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) > 1:
        raise Undefined(_unequal(name, widths[0], widths[-1]))
    return np.concatenate(parts) if parts else NO_VECTORS


def lists_to_table(lists: pa.Array, name: str) -> Vectors:
    """Return an array of lists as a table, (n, d), without a copy; NULL elements are NaN.

    Args:
        lists: The lists, without NULL rows.
        name: How reasons call the model.

    Raises:
        Undefined: The vectors differ in length.
    """
    values = lists.values.to_numpy(zero_copy_only=False)
    return cut_into_rows(values, lists.offsets.to_numpy(), name)


def cut_into_rows(values: NDArray[T], ends: NDArray[np.integer[Any]], name: str) -> NDArray[T]:
    """Return vectors that follow each other in one array as a view of it, (n, d).

    Args:
        values: The elements of all vectors.
        ends: The i-th vector reaches from ends[i] to ends[i + 1], (n + 1,).
        name: How reasons call the model.

    Raises:
        Undefined: The vectors differ in length.
    """
    widths = np.diff(ends)
    if widths.size == 0:
        return values[:0].reshape(0, 0)
    if widths.min() != widths.max():
        raise Undefined(_unequal(name, widths.min(), widths.max()))
    return values[ends[0] : ends[-1]].reshape(widths.size, widths[0])


def _unequal(name: str, shortest: int, longest: int) -> str:
    return f"the vectors of {name} differ in length ({shortest} to {longest})"
