"""How large systems are."""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.undefined import Undefined
from query.reading.selection import OF_DATASET, Selection, Source

# In the order in which `StoredVectors.read` returns the vectors of the model.
SIZES = f"""
    WITH seen AS (
        SELECT system_id, content_hash FROM embeddings
        WHERE model_id = $model AND representation = $representation AND {OF_DATASET}
    )
    SELECT coalesce(systems.n_atoms, length(systems.sequence)) AS size
    FROM seen LEFT JOIN systems ON systems.system_id = seen.system_id
    ORDER BY seen.system_id, seen.content_hash
"""


def read_sizes(
    connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection
) -> NDArray[np.float64]:
    """Return the number of atoms, or of residues, of the systems that a model has vectors of.

    Args:
        connection: A store.
        source: The model.
        selection: The systems that are asked for.

    Returns:
        The size and its logarithm, (n, 2), in order of system_id; NaN where it is unknown.
    """
    chosen = {"model": source.model_id, "representation": source.representation}
    found = connection.execute(SIZES, chosen | selection.parameters()).fetchnumpy()["size"]
    sizes = np.ma.filled(np.ma.asarray(found, dtype=np.float64), np.nan)
    return np.column_stack([sizes, np.log(sizes)])


def require_sizes(sizes: NDArray[np.float64], dataset: str) -> NDArray[np.float64]:
    """Return sizes if all are known.

    Args:
        sizes: As `read_sizes` returns them, (n, 2).
        dataset: The dataset.

    Raises:
        Undefined: Some are not.
    """
    unknown = int(np.isnan(sizes[:, 0]).sum())
    if unknown:
        raise Undefined(
            f"the store knows neither atoms nor a sequence of {unknown} of the {len(sizes)} "
            f"systems of {dataset}"
        )
    return sizes
