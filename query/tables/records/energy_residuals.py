"""energy_residuals(dataset, …): what a linear model of the composition leaves of energies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import duckdb
import numpy as np

from query.reading.selection import find_dataset
from query.tables.shared.declare import TableFunction
from query.tables.shared.energies import PARAMETERS, Fit, Predictions, compare_predictions
from query.tables.shared.selecting import Names, select

_ABSORBED = (
    "the composition model takes all of its energy: no other system tells what its elements weigh"
)
_RESIDUALS = (
    "label_residual",
    "predicted_residual",
    "label_residual_per_atom",
    "predicted_residual_per_atom",
)


@dataclass(frozen=True)
class _System:
    """A system that has a label and a prediction of a model; total energies, in eV."""

    model_id: Annotated[str, "the model"]
    system_id: Annotated[str, "the system"]
    formula: Annotated[str | None, "its formula"]
    label: Annotated[float, "the label, in eV"]
    predicted: Annotated[float, "the prediction, in eV"]
    label_residual: Annotated[float | None, "what the fit leaves of the label, in eV"]
    predicted_residual: Annotated[float | None, "what the fit leaves of the prediction, in eV"]
    label_residual_per_atom: Annotated[float | None, "the same, in eV per atom"]
    predicted_residual_per_atom: Annotated[float | None, "the same, in eV per atom"]
    n_atoms: Annotated[int, "atoms of the system"]
    leverage: Annotated[float, "the part of its energy that the fit takes, 0 to 1"]
    n: Annotated[int, "systems of this model that the fit leaves anything of"]


@dataclass(frozen=True)
class Row(Fit, _System):
    """A system, how the composition was fitted, and why nothing may be left."""

    reason: Annotated[str | None, "why there are no residuals"]


def energy_residuals(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    property_name: str | None = None,
    source: str | None = None,
    models: Names = None,
    systems: Names = None,
    missing: str = "pairwise",
) -> Sequence[Row]:
    """Fit a linear model of the composition to labels and to predictions, and return the rest.

    Args:
        connection: A connection to a store.
        dataset: The dataset.
        property_name: The property of the labels; see `compare_predictions`.
        source: Who made the labels; None is the only one that is no model.
        models: The models; None is all with predictions.
        systems: Ids of systems; None is all.
        missing: 'pairwise' or 'common'; see `compare_predictions`.

    Returns:
        One row per model and system that has a label and a prediction.

    Raises:
        ValueError: If there are no such labels, or the store has no such model or dataset.
    """
    selection = select(find_dataset(connection, dataset), systems)
    found = compare_predictions(
        connection,
        selection,
        property_name=property_name,
        source=source,
        models=models,
        missing=missing,
    )
    return [row for predictions in found for row in _rows(predictions)]


def _rows(found: Predictions) -> Iterator[Row]:
    labels, leverage, atoms = found.labels, found.fit.leverage, found.n_atoms
    left = found.residuals()
    residuals = np.concatenate([left, left / atoms])
    n = int(np.count_nonzero(~np.isnan(left[0])))
    columns = found.columns()
    for i, place in enumerate(found.places.tolist()):
        absorbed = bool(np.isnan(left[0, i]))
        values = [None] * len(_RESIDUALS) if absorbed else residuals[:, i].tolist()
        yield Row(
            model_id=found.model,
            system_id=str(labels.systems[place]),
            formula=labels.formulas[place],
            label=labels.energies[place],
            predicted=found.predicted[i],
            **dict(zip(_RESIDUALS, values, strict=True)),
            n_atoms=int(atoms[i]),
            leverage=leverage[i],
            n=n,
            **columns,
            reason=_ABSORBED if absorbed else None,
        )


TABLE_FUNCTION = TableFunction(
    "What a linear model of the composition leaves of labels and of models' predictions, in eV, "
    "one row per model and system",
    Row,
    PARAMETERS,
    energy_residuals,
)
