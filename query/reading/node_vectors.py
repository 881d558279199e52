"""Vectors of atoms and residues out of the store, with the systems and kinds that they are of."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.reading.files import store_with_files
from query.reading.selection import OF_DATASET, Selection, Source, find_source
from query.reading.vectors import Vectors, column_to_table
from schemas.vectors import NODES, list_vector_files
from zoo.encoder import SYMBOLS

_HELD = "SELECT DISTINCT model_id, representation FROM node_embeddings WHERE model_id = ?"
_HELD_IN_FILES = f"""
SELECT DISTINCT model_id, replace(representation, '{NODES}', '') FROM vector_files
WHERE model_id = ? AND suffix(representation, '{NODES}')
"""
_NODES = f"""
SELECT system_id, content_hash, node, vector FROM node_embeddings
WHERE model_id = $model AND representation = $representation AND {OF_DATASET}
"""
_KINDS = {
    "element": "SELECT system_id, content_hash, numbers FROM systems WHERE {} AND numbers NOT NULL",
    "residue": "SELECT system_id, content_hash, [ascii(x) FOR x IN string_split(sequence, '')] "
    "AS numbers FROM systems WHERE {} AND sequence NOT NULL",
}
_MODELS = """
SELECT DISTINCT model_id FROM {} JOIN models USING (model_id) WHERE untrained_of IS NULL
AND representation = default_representation AND {} ORDER BY ALL
"""
_OF_FILES = (
    f"(SELECT * REPLACE (replace(representation, '{NODES}', '') AS representation) "
    f"FROM vector_files WHERE suffix(representation, '{NODES}'))",
    "dataset = $dataset",
)
_OF_TABLE = "node_embeddings", "starts_with(system_id, $dataset || '/')"
_COUNTS = "SELECT count(numbers), count(sequence) FROM systems WHERE dataset = ?"
_MOST = 1 << 24  # nodes of a system, more than any has


@dataclass(frozen=True)
class Nodes:
    """What models see of the same nodes, in the order of their systems.

    Attributes:
        vectors: Of each model, (n, d_i).
        systems: The number of each node's system, (n,) ascending.
        names: The ids of the systems.
        numbers: Which node of its system each is, (n,).
        dropped: How many nodes of each model another one has no vector of.
    """

    vectors: tuple[Vectors, ...]
    systems: NDArray[np.int64]
    names: list[str]
    numbers: NDArray[np.int64]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class _Table:
    """The nodes of one model.

    Attributes:
        keys: The system_id and content_hash of each, joined.
        numbers: Which node of its system each is.
        rows: The rows with the vectors.
    """

    keys: pa.Array
    numbers: NDArray[np.int64]
    rows: pa.Table


def find_node_source(connection: duckdb.DuckDBPyConnection, name: str) -> Source:
    """Return the representation of this name, of which the store has vectors of nodes.

    Args:
        connection: A store.
        name: 'model_id' or 'model_id#representation', such as 'model_id#layer-3'.

    Raises:
        ValueError: There is no such model, or the store has no vectors of nodes of it.
    """
    model_id, _, named = name.partition("#")
    default = find_source(connection, model_id)
    of_files = store_with_files(connection) is not None
    query = _HELD_IN_FILES if of_files else _HELD
    held = sorted(row[1] for row in connection.execute(query, [model_id]).fetchall())
    wanted = named or default.representation
    if wanted not in held:
        there = f", which has those of {', '.join(held)}" if held else ""
        more = "" if wanted == default.representation else f" --representation {wanted}"
        raise ValueError(
            f"no vectors of nodes of {name} in this store{there}; "
            f"`matterzoo ingest {model_id} DATASET{more} --nodes` adds them"
        )
    return Source(model_id, wanted, wanted == default.representation)


def find_models_with_nodes(connection: duckdb.DuckDBPyConnection, dataset: str) -> list[str]:
    """Return the trained models and descriptors of which the store has vectors of nodes.

    Args:
        connection: A store.
        dataset: The dataset.

    Returns:
        Those whose default representation has them, in the order of their names.
    """
    of_files = store_with_files(connection) is not None
    query = _MODELS.format(*(_OF_FILES if of_files else _OF_TABLE))
    return [str(name) for (name,) in connection.execute(query, {"dataset": dataset}).fetchall()]


def find_kinds(connection: duckdb.DuckDBPyConnection, dataset: str) -> list[str]:
    """Return what kinds the store knows of the nodes of a dataset's systems: keys of _KINDS.

    Args:
        connection: A store.
        dataset: The dataset.
    """
    counts = connection.execute(_COUNTS, [dataset]).fetchall()[0]
    return [kind for kind, count in zip(_KINDS, counts, strict=True) if count]


def read_nodes(
    connection: duckdb.DuckDBPyConnection, sources: tuple[Source, Source], selection: Selection
) -> Nodes:
    """Return the nodes that two models have in common.

    Args:
        connection: A store.
        sources: The models.
        selection: The systems.

    Raises:
        Undefined: Vectors of a model differ in length.
        ValueError: A file of vectors is damaged.
    """
    _refuse_damaged(connection, sources, selection.dataset)
    a, b = (_read(connection, source, selection) for source in sources)
    every = pa.chunked_array([a.keys, b.keys]).combine_chunks().dictionary_encode()
    names = every.dictionary.to_pylist()
    order = np.argsort(np.array(names, dtype=object), kind="stable")
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    codes = place[every.indices.to_numpy()]
    keys = codes * _MOST + np.concatenate([a.numbers, b.numbers])
    first, second = keys[: len(a.numbers)], keys[len(a.numbers) :]
    common, at_a, at_b = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    vectors = tuple(
        column_to_table(table.rows["vector"], source.label)[at]
        for table, source, at in ((a, sources[0], at_a), (b, sources[1], at_b))
    )
    found, systems = np.unique(common // _MOST, return_inverse=True)
    ids = [str(names[order[code]]).rpartition("\n")[0] for code in found]
    dropped = len(first) - len(common), len(second) - len(common)
    return Nodes(vectors, systems.astype(np.int64), ids, common % _MOST, dropped)


def read_kinds(
    connection: duckdb.DuckDBPyConnection, nodes: Nodes, selection: Selection, by: str
) -> NDArray[np.str_]:
    """Return the element or the residue of each node; '' where the store does not know it.

    Args:
        connection: A store.
        nodes: The nodes.
        selection: The systems.
        by: 'element' or 'residue'.

    Returns:
        Symbols of elements, or letters of residues, (n,).
    """
    query = _KINDS[by].format(OF_DATASET)
    table = connection.execute(query, selection.parameters()).to_arrow_table()
    places = {name: row for row, name in enumerate(table["system_id"].to_pylist())}
    kinds = np.full(len(nodes.systems), "", dtype="<U2")
    lists = table["numbers"].combine_chunks()
    starts, values = lists.offsets.to_numpy(), lists.values.to_numpy()
    row = np.array([places.get(name, -1) for name in nodes.names], np.int64)[nodes.systems]
    known = row >= 0
    at = starts[row[known]] + nodes.numbers[known]
    inside = at < starts[row[known] + 1]
    numbers = np.zeros(len(at), np.int64)
    numbers[inside] = values[at[inside]]
    symbols = (
        np.array(["", *SYMBOLS]) if by == "element" else np.array([chr(i) for i in range(128)])
    )
    kinds[known] = np.where(numbers > 0, symbols[np.minimum(numbers, len(symbols) - 1)], "")
    return kinds


def _read(connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection) -> _Table:
    chosen = {"model": source.model_id, "representation": source.representation}
    rows = connection.execute(_NODES, chosen | selection.parameters()).to_arrow_table()
    keys = pc.binary_join_element_wise(rows["system_id"], rows["content_hash"], "\n")
    numbers = rows["node"].to_numpy().astype(np.int64)
    return _Table(keys.combine_chunks(), numbers, rows)


def _refuse_damaged(
    connection: duckdb.DuckDBPyConnection, sources: tuple[Source, Source], dataset: str
) -> None:
    store = store_with_files(connection)
    for source in sources if store is not None else ():
        files = list_vector_files(connection, str(store), source.model_id, dataset, nodes=True)
        named = f"{source.representation}{NODES}"
        for file in files:
            if file.representation == named and file.fault is not None:
                raise ValueError(file.fault)
