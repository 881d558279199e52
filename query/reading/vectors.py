"""Vectors out of the store: which models and datasets there are, which systems models share, and the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.engine.suggestions import did_you_mean
from query.engine.undefined import Undefined

Vectors = NDArray[np.float32]
T = TypeVar("T", np.float32, np.float64)
NOTHING: Vectors = np.empty((0, 0), dtype=np.float32)

# A system_id begins with its dataset. The column `systems.dataset` says the same but would cost a join.
OF_DATASET = """
    starts_with(system_id, $dataset || '/') AND ($systems IS NULL OR system_id IN (SELECT unnest($systems)))
"""

KEYS = f"""
    WITH found AS (
        SELECT model_id, representation, dense_rank() OVER (ORDER BY system_id, content_hash) AS code
        FROM embeddings
        WHERE (model_id, representation) IN (SELECT unnest($models), unnest($representations)) AND {OF_DATASET}
    )
    SELECT model_id, representation, list(code ORDER BY code) AS codes FROM found GROUP BY ALL
"""

VECTORS = f"""
    SELECT vector FROM embeddings
    WHERE model_id = $model AND representation = $representation AND {OF_DATASET}
    ORDER BY system_id, content_hash
"""


@dataclass(frozen=True, order=True)
class Source:
    """One representation of one model. Its label is 'model_id', or 'model_id#representation' if not the default."""

    model_id: str
    representation: str
    is_default: bool

    @property
    def label(self) -> str:
        return self.model_id if self.is_default else f"{self.model_id}#{self.representation}"


@dataclass(frozen=True)
class Selection:
    """The systems a question is about: a dataset's, or those of them that are listed."""

    dataset: str
    systems: tuple[str, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "systems": None if self.systems is None else list(self.systems),
        }


def find_source(connection: duckdb.DuckDBPyConnection, name: str | None) -> Source:
    """The model called 'model_id' or 'model_id#representation'. Raises ValueError that suggests the nearest."""
    model_id, _, representation = (name or "").partition("#")
    defaults = dict(
        connection.execute("SELECT model_id, default_representation FROM models").fetchall()
    )
    if model_id not in defaults:
        raise ValueError(
            unknown_in_store(
                "model", model_id, defaults, "`make ingest MODEL=… DATASET=…` adds one"
            )
        )
    default = defaults[model_id]
    if representation in ("", default):
        return Source(model_id, default, True)
    found = connection.execute(
        "SELECT DISTINCT representation FROM embeddings WHERE model_id = ?", [model_id]
    )
    stored = {default, *(row[0] for row in found.fetchall())}
    if representation not in stored:
        todo = f"`make ingest MODEL={model_id} DATASET=… REPRESENTATION=…` adds one"
        raise ValueError(
            unknown_in_store(f"representation of {model_id}", representation, stored, todo)
        )
    return Source(model_id, representation, False)


def check_dataset(connection: duckdb.DuckDBPyConnection, dataset: str | None) -> str:
    """The name back if the store has that dataset; ValueError that suggests the nearest if not."""
    stored = [
        row[0]
        for row in connection.execute("SELECT dataset FROM datasets ORDER BY dataset").fetchall()
    ]
    if dataset is None:
        raise ValueError(
            f"say which dataset: dataset := '…'; stored: {', '.join(stored) or 'none'}"
        )
    if dataset.startswith("["):
        raise ValueError(
            f"dataset := {dataset} is a list; expected one name of: {', '.join(stored) or 'none'}"
        )
    if dataset not in stored:
        raise ValueError(
            unknown_in_store(
                "dataset", dataset, stored, f"`make ingest MODEL=… DATASET={dataset}` adds it"
            )
        )
    return dataset


def choose_datasets(
    connection: duckdb.DuckDBPyConnection, dataset: str | None, sources: Iterable[Source] | None
) -> list[str]:
    """The dataset asked for, or every one on which any of these models (None: any model) has vectors."""
    if dataset is not None:
        return [check_dataset(connection, dataset)]
    models = None if sources is None else sorted({source.model_id for source in sources})
    ran = connection.execute(
        "SELECT DISTINCT dataset FROM datasets WHERE EXISTS (FROM embeddings WHERE "
        "starts_with(system_id, dataset || '/') AND ($models IS NULL OR list_contains($models, model_id))) ORDER BY 1",
        {"models": models},
    ).fetchall()
    return [row[0] for row in ran]


def choose_sources(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str] | None, dataset: str
) -> list[Source]:
    """The models asked for, each once; without names every model's default representation that has vectors here."""
    if names is not None:
        return list(dict.fromkeys(find_source(connection, name) for name in names))
    found = connection.execute(
        "SELECT model_id, default_representation FROM models SEMI JOIN (SELECT DISTINCT model_id, representation "
        "AS default_representation FROM embeddings WHERE starts_with(system_id, ? || '/')) "
        "USING (model_id, default_representation) ORDER BY model_id",
        [dataset],
    )
    return [Source(model_id, representation, True) for model_id, representation in found.fetchall()]


def read_keys(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source], selection: Selection
) -> dict[Source, NDArray[np.int64]]:
    """For each model the ascending codes of its systems; equal codes mean equal system_id and content_hash.

    The order of codes is that of system_id and is the order in which `read_vectors` returns the same model's vectors.
    """
    chosen = {
        "models": [source.model_id for source in sources],
        "representations": [source.representation for source in sources],
    }
    table = connection.execute(KEYS, chosen | selection.parameters()).to_arrow_table()
    found = {
        (model_id.as_py(), representation.as_py()): codes.values.to_numpy()
        for model_id, representation, codes in zip(*table.columns, strict=True)
    }
    keys = {
        s: found.get((s.model_id, s.representation), np.empty(0, dtype=np.int64)) for s in sources
    }
    for source, codes in keys.items():
        if np.any(np.diff(codes) == 0):
            raise ValueError(
                f"{source.label} has two vectors of one system of {selection.dataset}: run `make rebuild`"
            )
    return keys


def read_vectors(
    connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection
) -> Vectors:
    """One model's vectors (n, d) in order of system_id. Raises Undefined where they differ in length."""
    chosen = {"model": source.model_id, "representation": source.representation}
    table = connection.execute(VECTORS, chosen | selection.parameters()).to_arrow_table()
    return stack(table.column("vector"), source.label)


def stack(vectors: pa.ChunkedArray, name: str) -> Vectors:
    """A column of lists as (n, d). Raises Undefined where they differ in length."""
    parts = [dense(chunk, name) for chunk in vectors.chunks if len(chunk)]
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) > 1:
        raise Undefined(unequal(name, widths[0], widths[-1]))
    return np.concatenate(parts) if parts else NOTHING


class Reader:
    """Reads models on a selection of systems. The one read last is at hand: a cache of lists asks for it once more."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, selection: Selection) -> None:
        self._connection, self._selection = connection, selection
        self._last: tuple[Source, Vectors] | None = None

    def read(self, source: Source) -> Vectors:
        """See `read_vectors`."""
        if self._last is None or self._last[0] != source:
            self._last = None
            self._last = source, read_vectors(self._connection, source, self._selection)
        return self._last[1]


def dense(lists: pa.Array, name: str) -> Vectors:
    """A list array without NULL rows as (n, d), without a copy; a NULL element is NaN. Raises Undefined if ragged."""
    return table(lists.values.to_numpy(zero_copy_only=False), lists.offsets.to_numpy(), name)


def table(values: NDArray[T], ends: NDArray[np.integer[Any]], name: str) -> NDArray[T]:
    """Vectors that follow each other in `values` as a view (n, d); the i-th from ends[i] to ends[i + 1]."""
    widths = np.diff(ends)
    if widths.size == 0:
        return values[:0].reshape(0, 0)
    if widths.min() != widths.max():
        raise Undefined(unequal(name, widths.min(), widths.max()))
    return values[ends[0] : ends[-1]].reshape(widths.size, widths[0])


def unequal(name: str, shortest: int, longest: int) -> str:
    return f"the vectors of {name} differ in length ({shortest} to {longest})"


def unknown_in_store(kind: str, name: str, known: Iterable[str], todo: str) -> str:
    """One sentence for a name that the store does not have, with the nearest that it has or what to do."""
    names = sorted(known)
    near = did_you_mean(name, names)
    if near:
        return f"no {kind} '{name}' in this store{near}"
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"no {kind} '{name}' in this store, which has: {listed or 'none'}; {todo}"


def at_least_one(name: str, value: int | None, *, default: int) -> int:
    """The value, or the default for NULL. Raises ValueError below 1."""
    if value is not None and value < 1:
        raise ValueError(f"{name} = {value}, expected at least 1")
    return default if value is None else value
