"""What a question is about: which datasets, which models, which systems there are in the store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import duckdb

from query.engine.suggestions import nearest_name
from query.reading.files import find_damage, store_with_files
from zoo.terminal import first_of

# The WHERE clause of a selection. A system_id begins with its dataset; the column `systems.dataset`
# says the same but would cost a join.
OF_DATASET = """
    starts_with(system_id, $dataset || '/')
    AND ($systems IS NULL OR system_id IN (SELECT unnest($systems)))
"""
# What a row of `models` is good for in a comparison: 'control', 'twin', 'descriptor' or 'model'.
KIND = """
    CASE WHEN (card->>'$.control.of') IS NOT NULL THEN 'control'
         WHEN untrained_of IS NOT NULL THEN 'twin'
         WHEN parameters = 0 THEN 'descriptor' ELSE 'model' END
"""
_LISTED = 12  # names that a message lists
_LAYERS = "layers"  # model#layers stands for all layers of a model, as in `matterzoo ingest`
_LAYER = re.compile(r"layer-(\d+)((?::\w+)?)")


@dataclass(frozen=True, order=True)
class Source:
    """One representation of one model.

    Attributes:
        model_id: The model.
        representation: The representation.
        is_default: Whether it is the model's default.
    """

    model_id: str
    representation: str
    is_default: bool

    @property
    def label(self) -> str:
        """The name in results: 'model_id', or 'model_id#representation' if not the default."""
        return self.model_id if self.is_default else f"{self.model_id}#{self.representation}"


@dataclass(frozen=True)
class Selection:
    """The systems that a question is about: all of a dataset, or those of them that are listed.

    Attributes:
        dataset: The dataset.
        systems: The system_ids; None for all.
    """

    dataset: str
    systems: tuple[str, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the clause OF_DATASET."""
        return {
            "dataset": self.dataset,
            "systems": None if self.systems is None else list(self.systems),
        }


def find_source(connection: duckdb.DuckDBPyConnection, name: str | None) -> Source:
    """Return the representation of this name.

    Args:
        connection: A store.
        name: 'model_id' or 'model_id#representation', such as 'model_id#last_hidden:std'.

    Raises:
        ValueError: There is no such model or representation; the message suggests the nearest.
    """
    model_id, _, representation = (name or "").partition("#")
    representation = representation.removesuffix(":mean")  # the pooling if none is named
    defaults = dict(
        connection.execute("SELECT model_id, default_representation FROM models").fetchall()
    )
    if model_id not in defaults:
        todo = "`matterzoo ingest MODEL DATASET` adds one"
        raise ValueError(unknown_in_store("model", model_id, defaults, todo))
    default = defaults[model_id]
    if representation in ("", default):
        return Source(model_id, default, True)
    found = connection.execute(
        f"SELECT DISTINCT representation FROM ({held(connection)}) WHERE model_id = ?", [model_id]
    )
    stored = {default, *(row[0] for row in found.fetchall())}
    if representation not in stored:
        todo = f"`matterzoo ingest {model_id} DATASET --representation NAME` adds one"
        kind = f"representation of {model_id}"
        raise ValueError(unknown_in_store(kind, representation, stored, todo))
    return Source(model_id, representation, False)


def find_sources(connection: duckdb.DuckDBPyConnection, name: str) -> list[Source]:
    """Return the representations of this name, which are several for the layers of a model.

    Args:
        connection: A store.
        name: As in `find_source`; or 'model_id#layers' or 'model_id#layers:std', which are all
            layers of the model that the store has.

    Returns:
        One representation, or layers from the first to the last.

    Raises:
        ValueError: There is no such model or representation, or the store has no layers of it.
    """
    model_id, _, asked = name.partition("#")
    word, _, pooling = asked.partition(":")
    if word != _LAYERS:
        return [find_source(connection, name)]
    default = find_source(connection, model_id)
    rows = connection.execute(
        f"SELECT DISTINCT representation FROM ({held(connection)}) WHERE model_id = ?", [model_id]
    ).fetchall()
    suffix = "" if pooling in ("", "mean") else f":{pooling}"
    numbers = {
        each: number for (each,) in rows if (number := layer_number(each, suffix)) is not None
    }
    if not numbers:
        raise ValueError(
            f"this store has no layers of {model_id} pooled by their {pooling or 'mean'}: "
            f"`matterzoo ingest {model_id} DATASET --representation layers{suffix}` adds them, or "
            f"name one representation: '{model_id}#{default.representation}'"
        )
    return [
        Source(model_id, each, each == default.representation)
        for each in sorted(numbers, key=numbers.__getitem__)
    ]


def layer_number(representation: str, suffix: str | None = None) -> int | None:
    """Return the number of a layer, such as 3 of 'layer-3:std'; None if it is no layer.

    Args:
        representation: A full name of a representation.
        suffix: What has to follow the number, such as ':std'; None is anything.
    """
    match = _LAYER.fullmatch(representation)
    if match is None or (suffix is not None and match[2] != suffix):
        return None
    return int(match[1])


def find_dataset(connection: duckdb.DuckDBPyConnection, dataset: str | None) -> str:
    """Return the name of a dataset of the store.

    Args:
        connection: A store.
        dataset: The name that was given; None if none was.

    Raises:
        ValueError: There is no such dataset; the message suggests the nearest.
    """
    sql = "SELECT dataset FROM datasets ORDER BY dataset"
    stored = [row[0] for row in connection.execute(sql).fetchall()]
    if dataset is None:
        raise ValueError(
            f"say which dataset: dataset := '…'; stored: {', '.join(stored) or 'none'}"
        )
    if dataset.startswith("["):
        raise ValueError(
            f"dataset := {dataset} is a list; expected one name of: {', '.join(stored) or 'none'}"
        )
    if dataset not in stored:
        todo = f"`matterzoo ingest MODEL {dataset}` adds it"
        raise ValueError(unknown_in_store("dataset", dataset, stored, todo))
    return dataset


def choose_datasets(
    connection: duckdb.DuckDBPyConnection, dataset: str | None, sources: Iterable[Source] | None
) -> list[str]:
    """Return the dataset that was asked for, or all on which any of these models has vectors.

    Args:
        connection: A store.
        dataset: The name of the dataset; None for all.
        sources: The models; None for any model.

    Raises:
        ValueError: There is no such dataset.
    """
    if dataset is not None:
        return [find_dataset(connection, dataset)]
    models = None if sources is None else sorted({source.model_id for source in sources})
    ran = connection.execute(
        f"SELECT DISTINCT dataset FROM datasets SEMI JOIN ({held(connection)}) AS held "
        "ON held.dataset = datasets.dataset "
        "AND ($models IS NULL OR list_contains($models, model_id)) ORDER BY 1",
        {"models": models},
    ).fetchall()
    return [row[0] for row in ran]


def choose_sources(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str] | None, dataset: str
) -> list[Source]:
    """Return the models that were asked for, each once.

    Args:
        connection: A store.
        names: Names as in `find_sources`; None for the default representation of every model that
            has vectors of it on the dataset, in files that are whole.
        dataset: The dataset.

    Raises:
        ValueError: There is no such model or representation.
    """
    if names is not None:
        found = (find_sources(connection, name) for name in names)
        return list(dict.fromkeys(chain.from_iterable(found)))
    damage = find_damage(connection, dataset)
    stored = connection.execute(
        "SELECT model_id, default_representation FROM models SEMI JOIN (SELECT model_id, "
        f"representation AS default_representation FROM ({held(connection)}) WHERE dataset = ?) "
        "USING (model_id, default_representation) ORDER BY model_id",
        [dataset],
    )
    return [
        Source(model_id, representation, True)
        for model_id, representation in stored.fetchall()
        if (model_id, representation) not in damage
    ]


def unknown_in_store(kind: str, name: str, known: Iterable[str], todo: str) -> str:
    """Return the sentence for a name that the store does not have.

    Args:
        kind: What the name should have named, such as "model".
        name: The name that was given.
        known: The names that the store has.
        todo: What to do if none of them is near.
    """
    names = sorted(known)
    near = nearest_name(name, names)
    if near:
        return f"no {kind} '{name}' in this store{near}"
    listed = first_of(names, _LISTED) or "none"
    return f"no {kind} '{name}' in this store, which has: {listed}; {todo}"


def held(connection: duckdb.DuckDBPyConnection) -> str:
    """Return SQL for model_id, representation and dataset of all vectors, each once.

    Args:
        connection: A store. Of files, their list says it; an exported store holds vectors itself.
    """
    dataset, table = (
        ("dataset", "vector_files WHERE NOT suffix(representation, ':nodes')")
        if store_with_files(connection) is not None
        else ("split_part(system_id, '/', 1) AS dataset", "embeddings")
    )
    return f"SELECT DISTINCT model_id, representation, {dataset} FROM {table}"


def at_least_one(name: str, value: int | None, *, default: int) -> int:
    """Return the value of an option that counts something.

    Args:
        name: The name of the option.
        value: The value that was given; None for the default.
        default: The default.

    Raises:
        ValueError: The value is below 1.
    """
    if value is not None and value < 1:
        raise ValueError(f"{name} = {value}, expected at least 1")
    return default if value is None else value
