"""Vectors out of the store, as tables (n, d), and which systems have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.engine.undefined import Undefined
from query.reading.dataset_files import Model
from query.reading.files import find_damage
from query.reading.kept.files import KeptFiles
from query.reading.selection import OF_DATASET, Selection, Source
from schemas.vectors import VectorFile

Vectors = NDArray[np.float32]
Codes = NDArray[np.int64]
T = TypeVar("T", np.float32, np.float64)
_NO_CODES: Codes = np.empty(0, dtype=np.int64)
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


class StoredVectors:
    """The vectors of a store on a selection of systems, of which the files are listed once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
        """List the files; no vector is read yet.

        Args:
            connection: A store.
            selection: The systems that are asked for.
        """
        self._connection, self._selection = connection, selection
        self._files = KeptFiles.of(connection, selection.dataset, selection.systems)

    def read_keys(self, sources: Sequence[Source]) -> dict[Source, Codes]:
        """Return the systems of each model as ascending codes.

        Equal codes mean equal system_id and content_hash. The order of codes is that of system_id,
        and the order in which `read` returns the vectors of the same model. Systems are sorted
        once for all models that have the same.

        Args:
            sources: The models.

        Raises:
            ValueError: The store has two vectors of one system, or a file of vectors is damaged.
        """
        _refuse(sources, {} if self._files is None else self._files.find_damage())
        names = list(dict.fromkeys(_model(source) for source in sources))
        if self._files is not None and self._files.are_local:
            codes = self._codes_of_files(self._files, names)
        else:
            codes = self._codes_of_groups(self._group_by_fingerprint(names))
        keys = {source: codes.get(_model(source), _NO_CODES) for source in sources}
        for source, found in keys.items():
            if np.any(np.diff(found) == 0):
                raise ValueError(
                    f"{source.label} has two vectors of one system of {self._selection.dataset}: "
                    "run `matterzoo rebuild`"
                )
        return keys

    @property
    def files(self) -> list[VectorFile]:
        """The files of the dataset; none where vectors are in a table."""
        return [] if self._files is None else self._files.files

    def read_from(self, folder: Path) -> None:
        """Read vectors from copies of their files.

        Args:
            folder: Where they are as below the folder of vectors.
        """
        if self._files is not None:
            self._files.read_from(folder)

    def fingerprint(self, source: Source) -> str | None:
        """Return what tells a model's vectors by their files; None if they are in a table.

        Args:
            source: The model.
        """
        return None if self._files is None else self._files.fingerprint(_model(source))

    def read(self, source: Source) -> Vectors:
        """Return the vectors of one model, (n, d), in order of system_id.

        Args:
            source: The model.

        Raises:
            Undefined: The vectors differ in length, or a file of them is damaged.
        """
        if self._files is not None:
            return self._files.read_vectors(_model(source), source.label)
        chosen = {"model": source.model_id, "representation": source.representation}
        found = self._connection.execute(VECTORS, chosen | self._selection.parameters())
        return column_to_table(found.to_arrow_table()["vector"], source.label)

    def _codes_of_files(self, files: KeptFiles, names: Sequence[Model]) -> dict[Model, Codes]:
        """Return the codes of models; nothing is sorted if all have the same systems."""
        groups: list[tuple[pa.Table, list[Model]]] = []
        for name in names:
            try:
                keys = files.read_keys(name)
            except Undefined as undefined:
                raise ValueError(str(undefined)) from undefined
            alike = next((models for known, models in groups if known.equals(keys)), None)
            if alike is None:
                groups.append((keys, [name]))
            else:
                alike.append(name)
        if len(groups) == 1:
            return dict.fromkeys(names, _number(groups[0][0]))
        return files.keep_codes([models for _, models in groups], self._codes_of_groups)

    def _group_by_fingerprint(self, names: Sequence[Model]) -> list[list[Model]]:
        """Return the models that have vectors, those together that have the same systems."""
        rows = self._connection.execute(FINGERPRINTS, self._parameters(names)).fetchall()
        alike: dict[tuple[Any, ...], list[Model]] = {}
        for model_id, representation, *fingerprint in sorted(rows):
            alike.setdefault(tuple(fingerprint), []).append((model_id, representation))
        return list(alike.values())

    def _codes_of_groups(self, groups: Sequence[list[Model]]) -> dict[Model, Codes]:
        """Return the codes of models, given those together that have the same systems."""
        first = {models[0]: models for models in groups}
        table = self._connection.execute(KEYS, self._parameters(list(first))).to_arrow_table()
        return {
            name: codes.values.to_numpy()
            for model_id, representation, codes in zip(*table.columns, strict=True)
            for name in first[model_id.as_py(), representation.as_py()]
        }

    def _parameters(self, names: Sequence[Model]) -> dict[str, Any]:
        return self._selection.parameters() | {
            "models": [model_id for model_id, _ in names],
            "representations": [representation for _, representation in names],
        }


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
    _refuse(sources, find_damage(connection, dataset))


def _refuse(sources: Sequence[Source], damage: Mapping[Model, str]) -> None:
    for source in sources:
        if _model(source) in damage:
            raise ValueError(damage[_model(source)])


def _model(source: Source) -> Model:
    return source.model_id, source.representation


def _number(keys: pa.Table) -> Codes:
    """Return ascending numbers of rows in order, equal for equal neighbors."""
    if keys.num_rows < 2:
        return np.zeros(keys.num_rows, dtype=np.int64)
    before, after = keys[:-1].combine_chunks(), keys[1:].combine_chunks()
    differ = pc.or_(*(pc.not_equal(before[name], after[name]) for name in keys.column_names))
    return np.concatenate([[0], np.cumsum(differ.to_numpy())])


class Reader:
    """Reads models on a selection of systems, and keeps the one that was read last.

    A cache of neighbor lists asks for the same vectors once more.
    """

    def __init__(self, stored: StoredVectors) -> None:
        """Take what is to be read.

        Args:
            stored: The vectors of a store.
        """
        self._stored = stored
        self._last: tuple[Source, Vectors] | None = None

    def read(self, source: Source) -> Vectors:
        """Return the vectors of one model, (n, d); see `StoredVectors.read`.

        Args:
            source: The model.
        """
        if self._last is None or self._last[0] != source:
            self._last = None
            self._last = source, self._stored.read(source)
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
