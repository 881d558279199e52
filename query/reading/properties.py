"""Labels of systems, any property, and what the store says of these systems besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import nearest_name
from query.reading.energy_labels import LabelSet, read_label_sets
from query.reading.selection import OF_DATASET, Selection, Source

_DESCRIPTION = """
    system_id, content_hash, formula, smiles, sequence, numbers, cell IS NOT NULL AS is_periodic
"""
_DESCRIBED = f"SELECT {_DESCRIPTION} FROM systems WHERE {OF_DATASET} ORDER BY system_id"
_LABELED = f"""
    SELECT {_DESCRIPTION}, value, unit, source
    FROM labels JOIN systems USING (system_id)
    WHERE {OF_DATASET} AND property = $property AND source IN (SELECT unnest($sources))
        AND isfinite(value)
    ORDER BY system_id, source
"""
_SEEN = f"""
    SELECT system_id, content_hash FROM embeddings
    WHERE model_id = $model AND representation = $representation AND {OF_DATASET}
    ORDER BY system_id, content_hash
"""
_DATASETS = (
    "SELECT DISTINCT split_part(system_id, '/', 1) FROM labels WHERE property = ? ORDER BY 1"
)


@dataclass(frozen=True)
class Described:
    """What the store says of n systems, in order of system_id.

    Attributes:
        selection: The systems that were asked for.
        systems: A dictionary per system: system_id, content_hash, formula, smiles, sequence,
            numbers, is_periodic.
    """

    selection: Selection
    systems: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Property(Described):
    """A label of n systems, in order of system_id.

    Attributes:
        name: The property.
        unit: Its unit.
        source: Who says it.
        values: The labels, (n,).
    """

    name: str
    unit: str
    source: str
    values: NDArray[np.float64]

    @property
    def has_classes(self) -> bool:
        """Whether the label has exactly two values."""
        return np.unique(self.values).size == 2


def read_systems(connection: duckdb.DuckDBPyConnection, selection: Selection) -> Described:
    """Return what the store says of systems.

    Args:
        connection: A store.
        selection: The systems.
    """
    rows = connection.execute(_DESCRIBED, selection.parameters()).to_arrow_table()
    return Described(selection, rows.to_pylist())


def datasets_with(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Return the datasets that have a property.

    Args:
        connection: A store.
        name: The property.

    Raises:
        ValueError: None has it.
    """
    found = [row[0] for row in connection.execute(_DATASETS, [name]).fetchall()]
    if not found:
        rows = connection.execute("SELECT DISTINCT property FROM labels").fetchall()
        known = sorted(row[0] for row in rows)
        near = nearest_name(name, known) or f", which has: {', '.join(known) or 'none'}"
        raise ValueError(f"no label '{name}' in this store{near}")
    return found


def read_property(
    connection: duckdb.DuckDBPyConnection, selection: Selection, name: str, source: str | None
) -> Property:
    """Return a property of all systems that have it as a finite number.

    Args:
        connection: A store.
        selection: The systems.
        name: The property.
        source: Who says it; None is everyone who is no model.

    Raises:
        ValueError: There is no such label, several of one system, or of several units.
    """
    dataset = selection.dataset
    known = read_label_sets(connection, selection)
    chosen = _choose(known, dataset, name, source)
    rows = connection.execute(
        _LABELED,
        selection.parameters() | {"property": name, "sources": [each.source for each in chosen]},
    ).to_arrow_table()
    systems = rows.to_pylist()
    for before, after in zip(systems, systems[1:], strict=False):
        if before["system_id"] == after["system_id"]:
            raise ValueError(
                f"'{name}' of {before['system_id']} is from '{before['source']}' and from "
                f"'{after['source']}': choose with source := '…'"
            )
    units = sorted({unit for each in chosen for unit in each.units})
    if len(units) > 1:
        raise ValueError(
            f"'{name}' on {dataset} is in {' and in '.join(units)}: choose with source := '…'"
        )
    sources = [each.source for each in chosen]
    said = sources[0] if len(sources) == 1 else f"{len(sources)} sources"
    values = np.array([system["value"] for system in systems], dtype=np.float64)
    return Property(selection, systems, name, units[0], said, values)


def _choose(
    known: Sequence[LabelSet], dataset: str, name: str | None, source: str | None
) -> list[LabelSet]:
    names = sorted({each.name for each in known})
    if name is None:  # NULL in SQL
        raise ValueError(
            f"no property was named; {dataset} has labels of: {', '.join(names) or 'none'}"
        )
    named = [each for each in known if each.name == name]
    if not named:
        near = nearest_name(name, names) or f", which has: {', '.join(names) or 'none'}"
        raise ValueError(f"no label '{name}' on {dataset}{near}")
    fitting = [e for e in named if (not e.is_model if source is None else e.source == source)]
    if not fitting:
        sources = sorted(each.source for each in named)
        given = "no source but models" if source is None else f"not '{source}'"
        raise ValueError(
            f"'{name}' on {dataset} has {given}: choose source := '…', one of: {', '.join(sources)}"
        )
    return fitting


def find_places(
    connection: duckdb.DuckDBPyConnection, source: Source, among: Described
) -> NDArray[np.int64]:
    """Return which of some systems each vector of a model is of, (n,), −1 for none.

    Args:
        connection: A store.
        source: The model; its vectors in the order in which `StoredVectors.read` returns them.
        among: The systems.
    """
    chosen = {"model": source.model_id, "representation": source.representation}
    rows = connection.execute(_SEEN, chosen | among.selection.parameters()).fetchall()
    places = {
        (system["system_id"], system["content_hash"]): i for i, system in enumerate(among.systems)
    }
    return np.array([places.get(row, -1) for row in rows], dtype=np.int64)
