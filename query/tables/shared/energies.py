"""Predictions of energies beside labels, on the systems that have both.

What models predict is in table `labels` as property 'energy' in eV, with the model as its source.
Labels of any other source are what predictions are compared with or, where `source` is a model,
the predictions of that model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import unknown_name
from query.reading.energy_labels import (
    ENERGY,
    Labels,
    choose_label_set,
    read_label_sets,
    read_labels,
)
from query.reading.selection import OF_DATASET, Selection, find_source
from query.statistics.composition import Composition, Floats
from query.tables.shared.declare import Parameter
from query.tables.shared.pairs import MISSING
from query.tables.shared.parameters import MISSING as MISSING_PARAMETER
from query.tables.shared.parameters import ONE_DATASET, SYSTEMS
from query.tables.shared.selecting import Names

PARAMETERS = (
    ONE_DATASET,
    Parameter(
        "property",
        "VARCHAR",
        None,
        "the labels; NULL is 'energy', or the one energy there is",
        argument="property_name",
    ),
    Parameter("source", "VARCHAR", None, "who made the labels, possibly a model; NULL if one did"),
    Parameter("models", "VARCHAR[]", None, "these models only; NULL is all with predictions"),
    SYSTEMS,
    MISSING_PARAMETER,
)

_PREDICTIONS = f"""
    SELECT source, list(system_id ORDER BY system_id), list(value ORDER BY system_id) FROM labels
    WHERE {OF_DATASET} AND property = '{ENERGY}' AND source IN (SELECT unnest($models))
    AND isfinite(value) GROUP BY ALL
"""

_Places = NDArray[np.int64]
_NONE: tuple[_Places, Floats] = (np.empty(0, dtype=np.int64), np.empty(0))


@dataclass(frozen=True)
class Fit:
    """The columns of a fit of the composition, and of the labels beside it."""

    n_elements: Annotated[int, "elements, and so constants, of the fit"]
    rank: Annotated[int, "constants that the systems determine"]
    dataset: Annotated[str, "the dataset"]
    property: Annotated[str, "the property of the labels"]
    source: Annotated[str, "who made the labels"]


@dataclass(frozen=True)
class Predictions:
    """One model on the systems that have a label and a prediction: n systems, energies in eV.

    Attributes:
        model: The model.
        labels: All labels of the dataset.
        places: Which of the labels, (n,).
        predicted: The predictions, (n,).
        fit: The linear model of the composition on these systems.
    """

    model: str
    labels: Labels
    places: _Places
    predicted: Floats
    fit: Composition

    @property
    def label(self) -> Floats:
        """The labels, (n,)."""
        return self.labels.energies[self.places]

    @property
    def n_atoms(self) -> Floats:
        """The atoms of each system, (n,)."""
        found: Floats = self.labels.counts[self.places].sum(axis=1)
        return found

    def residuals(self) -> Floats:
        """Return what the fit leaves: of the labels, then of the predictions, (2, n), in eV.

        It is NaN for systems whose energy the fit takes wholly.
        """
        return np.stack([self.fit.residuals(self.label), self.fit.residuals(self.predicted)])

    def errors(self) -> Floats:
        """Return by how much the residuals of labels and predictions differ, (n,), in eV.

        It is NaN for systems whose energy the fit takes wholly.
        """
        label, predicted = self.residuals()
        found: Floats = np.abs(predicted - label)
        return found

    def columns(self) -> dict[str, Any]:
        """Return the columns that say what was fitted, and where."""
        return {"n_elements": self.fit.n_elements, "rank": self.fit.rank, **self.labels.where()}


def compare_predictions(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    *,
    property_name: str | None = None,
    source: str | None = None,
    models: Names = None,
    missing: str = MISSING[0],
) -> list[Predictions]:
    """Set the predictions of models beside labels.

    Args:
        connection: A connection to a store.
        selection: The systems.
        property_name: The property of the labels; for None see `choose_label_set`.
        source: Who made the labels; None is the only one that is no model.
        models: The models; None is all with predictions here except the source of the labels.
        missing: 'pairwise' takes all systems of a model, 'common' those that all models have
            predictions for.

    Returns:
        One element per model.

    Raises:
        ValueError: If there are no such labels, or the store has no such model.
    """
    if missing not in MISSING:
        raise ValueError(unknown_name("way to treat missing systems", missing, MISSING))
    known = read_label_sets(connection, selection)
    chosen = choose_label_set(selection.dataset, known, property_name, source)
    labels = read_labels(connection, selection, chosen)
    if models is None:
        names = [
            p.source
            for p in known
            if p.is_model and p.name == ENERGY and p.source != labels.of.source
        ]
    else:
        names = list(dict.fromkeys(find_source(connection, model).model_id for model in models))
    predictions = _read_predictions(connection, labels, names)
    return _fit(labels, names, predictions, common=missing == "common")


def _read_predictions(
    connection: duckdb.DuckDBPyConnection, labels: Labels, models: Sequence[str]
) -> dict[str, tuple[_Places, Floats]]:
    """Return for each model which of the labels it has a prediction for, ascending, and these."""
    chosen: dict[str, Any] = labels.selection.parameters() | {"models": list(models)}
    found = {}
    for model, systems, values in connection.execute(_PREDICTIONS, chosen).fetchall():
        _, places, rows = np.intersect1d(
            labels.systems, systems, assume_unique=True, return_indices=True
        )
        found[model] = places, np.array(values, dtype=np.float64)[rows]
    return found


def _fit(
    labels: Labels,
    models: Sequence[str],
    predictions: Mapping[str, tuple[_Places, Floats]],
    *,
    common: bool,
) -> list[Predictions]:
    present = [places for places, _ in predictions.values() if places.size]
    shared = reduce(np.intersect1d, present) if common and present else None
    fits: dict[bytes, Composition] = {}  # most models have all systems
    found = []
    for model in models:
        places, energies = predictions.get(model, _NONE)
        if shared is not None:
            kept = np.isin(places, shared)
            places, energies = places[kept], energies[kept]
        key = places.tobytes()
        if key not in fits:
            fits[key] = Composition.of(labels.counts[places])
        found.append(Predictions(model, labels, places, energies, fits[key]))
    return found
