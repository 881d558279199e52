"""novelty_errors(dataset, …): do models err more on what is novel to them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.metrics import Undefined
from query.reading.named_vectors import read_named_vectors
from query.reading.selection import Selection, find_dataset, find_source
from query.statistics.rank_correlation import LEAST, spearman, spearman_interval
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.energies import PARAMETERS, Predictions, compare_predictions
from query.tables.shared.rows import only_reason
from query.tables.shared.selecting import Names, select
from query.tables.vectors.novelty import How, judge_systems

_QUARTER = 4  # the most novel quarter of the systems is set against the others


@dataclass(frozen=True)
class Row:
    """A model, and how its errors go with novelty."""

    model_id: Annotated[str, "the model, which sees and predicts"]
    spearman: Annotated[float | None, "rank correlation of distance and error per atom"]
    low: Annotated[float | None, "lower end of its 95 % interval, over systems"]
    high: Annotated[float | None, "upper end of its 95 % interval"]
    p_value: Annotated[float | None, "two-sided, by shuffled systems"]
    novel_error: Annotated[float | None, "mean error of the most novel quarter, in eV per atom"]
    other_error: Annotated[float | None, "mean error of the other systems, in eV per atom"]
    n: Annotated[int, "systems with a vector, a label and a prediction"]
    n_reference: Annotated[int | None, "systems of the reference"]
    dataset: Annotated[str, "the dataset"]
    reference: Annotated[str, "the dataset of the reference"]
    property: Annotated[str, "the property of the labels"]
    source: Annotated[str, "who made the labels"]
    method: Annotated[str, "how novelty is measured, as in `novelty`"]
    k: Annotated[int | None, "which neighbor the distance is to, of 'knn'"]
    normalization: Annotated[str, "how vectors were normalized"]
    reason: Annotated[str | None, "why there is no correlation"]


def novelty_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    reference: str | None = None,
    property_name: str | None = None,
    source: str | None = None,
    models: Names = None,
    systems: Names = None,
    missing: str = "pairwise",
    method: str = "knn",
    k: int | None = None,
    normalize: str = "l2",
) -> Sequence[Row]:
    """Correlate how novel systems are to a model with how wrong its energies of them are.

    Errors are those of `energy_residuals`: what a linear model of the composition leaves of
    prediction and label, their difference, per atom.

    Args:
        connection: A connection to a store.
        dataset: The dataset.
        reference: What the systems may be novel to, a dataset; None is the dataset itself.
        property_name: The property of the labels; see `compare_predictions`.
        source: Who made the labels; None is the only one that is no model.
        models: The models; None is all with predictions.
        systems: Ids of systems; None is all.
        missing: 'pairwise' or 'common'; see `compare_predictions`.
        method: 'knn' or 'mahalanobis'.
        k: Which neighbor of 'knn'; None is 10.
        normalize: How vectors are normalized: 'l2', 'max' or 'none'.

    Returns:
        One row per model with predictions.

    Raises:
        ValueError: There are no such labels, the store has no such model or dataset, or an option
            makes no sense.
    """
    how = How.of(method, k, normalize)
    selection = select(find_dataset(connection, dataset), systems)
    covered = select(find_dataset(connection, reference or dataset), None)
    found = compare_predictions(
        connection,
        selection,
        property_name=property_name,
        source=source,
        models=models,
        missing=missing,
    )
    return [_row(connection, predictions, covered, how) for predictions in found]


def _row(
    connection: duckdb.DuckDBPyConnection, found: Predictions, covered: Selection, how: How
) -> Row:
    known: dict[str, Any] = {"model_id": found.model, "reference": covered.dataset, "n": 0}
    known |= found.labels.where() | {"method": how.method, "k": how.k}
    known |= {"normalization": how.normalization}
    try:
        source = find_source(connection, found.model)
        base = read_named_vectors(connection, source, covered)
        known["n_reference"] = len(base.systems)
        asked = read_named_vectors(connection, source, found.labels.selection)
        novel = judge_systems(base, asked, how, source.label)
        distance, error = _matched(found, asked.systems, novel.distance)
    except Undefined as undefined:
        return only_reason(Row, str(undefined), known)
    known["n"] = distance.size
    correlation = spearman(distance.tolist(), error.tolist())
    if correlation is None:
        few = f"n = {distance.size} systems have a vector, a label and a prediction"
        reason = f"{few}; {LEAST} are needed" if distance.size < LEAST else "all values are equal"
        return only_reason(Row, reason, known)
    low, high = spearman_interval(distance.tolist(), error.tolist()) or (None, None)
    order = np.argsort(-distance, kind="stable")
    cut = max(1, distance.size // _QUARTER)
    known |= {"spearman": correlation[0], "p_value": correlation[1], "low": low, "high": high}
    known |= {"novel_error": float(error[order[:cut]].mean())}
    known |= {"other_error": float(error[order[cut:]].mean())}
    return Row(**known, reason=None)


def _matched(
    found: Predictions, systems: Sequence[str], distance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distance and error per atom of the systems that have both."""
    errors = found.errors() / found.n_atoms
    names = found.labels.systems[found.places]
    _, ours, theirs = np.intersect1d(systems, names, assume_unique=True, return_indices=True)
    kept = ~np.isnan(errors[theirs])
    return distance[ours][kept], errors[theirs][kept]


TABLE_FUNCTION = TableFunction(
    "Do models err more on what is novel to them? Rank correlation of novelty and the errors of "
    "their energies",
    Row,
    (
        PARAMETERS[0],
        Parameter("reference", "VARCHAR", None, "the reference; NULL is the dataset itself"),
        *PARAMETERS[1:],
        Parameter("method", "VARCHAR", "knn", "'knn' or 'mahalanobis'"),
        Parameter("k", "BIGINT", None, "which neighbor, of 'knn'; NULL is 10", least=1),
        Parameter("normalize", "VARCHAR", "l2", "how vectors are normalized: 'l2', 'max', 'none'"),
    ),
    novelty_errors,
)
