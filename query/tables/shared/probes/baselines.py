"""Descriptions of systems that a probe of a model should do better than."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.reading.properties import Property
from query.reading.selection import KIND, Source, choose_sources, find_source
from query.tables.shared.declare import Parameter
from query.tables.shared.selecting import Names

Floats = NDArray[np.float64]

SIZE, COUNTS = "size", "counts"  # descriptions that are no models
BASELINES = Parameter(
    "baselines",
    "VARCHAR[]",
    None,
    "what a model should do better than: models, 'size' (atoms or residues) and 'counts' (of each "
    "element or amino acid); NULL is both, and all descriptors that have vectors there",
)
_TWINS = "SELECT model_id, untrained_of FROM models WHERE untrained_of IS NOT NULL"
_DESCRIPTORS = f"SELECT model_id FROM models WHERE {KIND} = 'descriptor'"


def choose_baselines(
    connection: duckdb.DuckDBPyConnection, names: Names, dataset: str
) -> list[Source | str]:
    """Return the baselines, each once: models, SIZE, COUNTS.

    Args:
        connection: A connection to a store.
        names: Those that are asked for; None is the default of BASELINES.
        dataset: The dataset.

    Raises:
        ValueError: The store has no such model.
    """
    if names is not None:
        some = dict.fromkeys(names)
        return [n if n in (SIZE, COUNTS) else find_source(connection, n) for n in some]
    learned_nothing = {model for (model,) in connection.execute(_DESCRIPTORS).fetchall()}
    present = choose_sources(connection, None, dataset)
    return [SIZE, COUNTS, *(source for source in present if source.model_id in learned_nothing)]


def twins_of(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the trained model of each untrained twin.

    Args:
        connection: A connection to a store.
    """
    return dict(connection.execute(_TWINS).fetchall())


def describe(labels: Property, name: str) -> tuple[NDArray[np.int64], Floats]:
    """Return a description of the labeled systems that have one: which they are, and it, (n, d).

    Args:
        labels: The labeled systems.
        name: SIZE, which is the number of atoms or residues and its logarithm, or COUNTS, which is
            how many atoms there are of each element, or residues of each amino acid.
    """
    parts = [_parts(system) for system in labels.systems]
    places = np.array([i for i, some in enumerate(parts) if some], dtype=np.int64)
    if name == SIZE:
        sizes = np.array([len(parts[i]) for i in places], dtype=np.float64)
        return places, np.column_stack([sizes, np.log(sizes)])
    kinds = {
        kind: column for column, kind in enumerate(sorted({k for some in parts for k in some}))
    }
    counts = np.zeros((places.size, len(kinds)))
    for row, i in enumerate(places):
        for kind, count in Counter(parts[i]).items():
            counts[row, kinds[kind]] = count
    return places, counts


def _parts(system: dict[str, Any]) -> Sequence[str]:
    """Return the elements of all atoms, or else the amino acids."""
    if system["numbers"]:
        return [f"{number:03d}" for number in system["numbers"]]
    return system["sequence"] or ""
