"""How well models predict energies, whatever their zero is: residuals of labels and predictions, see `composition`.

What models predict is in table `labels` as property 'energy' in eV, with the model as its source. Labels of any other
source are what they are compared with, or, where `source` is a model, that model's predictions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

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
from query.reading.selection import OF_DATASET, Selection, find_dataset, find_source
from query.statistics import composition
from query.statistics.composition import Composition, Floats
from query.tables.pairs import MISSING, Row
from query.tables.questions import Names, select

RESIDUAL = (
    "STRUCT(model_id VARCHAR, system_id VARCHAR, formula VARCHAR, label DOUBLE, predicted DOUBLE, "
    "label_residual DOUBLE, predicted_residual DOUBLE, label_residual_per_atom DOUBLE, "
    "predicted_residual_per_atom DOUBLE, n_atoms BIGINT, leverage DOUBLE, n BIGINT, n_elements BIGINT, rank BIGINT, "
    "dataset VARCHAR, property VARCHAR, source VARCHAR, reason VARCHAR)"
)
ERROR = (
    "STRUCT(model_id VARCHAR, mae DOUBLE, low DOUBLE, high DOUBLE, rmse DOUBLE, median_error DOUBLE, "
    "mae_per_atom DOUBLE, spearman DOUBLE, raw_mae DOUBLE, n BIGINT, absorbed BIGINT, n_elements BIGINT, rank BIGINT, "
    "dataset VARCHAR, property VARCHAR, source VARCHAR, warning VARCHAR, reason VARCHAR)"
)
SCORE = "composition_residual_mae"  # what `convergence` calls mae_per_atom

PREDICTIONS = f"""
    SELECT source, list(system_id ORDER BY system_id), list(value ORDER BY system_id) FROM labels
    WHERE {OF_DATASET} AND property = '{ENERGY}' AND source IN (SELECT unnest($models)) AND isfinite(value) GROUP BY ALL
"""
TWINS = "SELECT model_id FROM models WHERE untrained_of IS NOT NULL"
FEW = 5  # systems a constant, below which the fit takes much of what a model gets wrong
ABSORBED = (
    "the composition model takes all of its energy: no other system tells what its elements weigh"
)
RESIDUALS = (
    "label_residual", "predicted_residual", "label_residual_per_atom", "predicted_residual_per_atom",
)  # fmt: skip

Places = NDArray[np.int64]
NONE: tuple[Places, Floats] = (np.empty(0, dtype=np.int64), np.empty(0))


@dataclass(frozen=True)
class Compared:
    """One model on the systems that have a label and a prediction: (n,) each, energies in eV.

    places: which of the labels.
    """

    model: str
    labels: Labels
    places: Places
    predicted: Floats
    fit: Composition

    @property
    def label(self) -> Floats:
        return self.labels.energies[self.places]

    @property
    def n_atoms(self) -> Floats:
        found: Floats = self.labels.counts[self.places].sum(axis=1)
        return found

    def residuals(self) -> Floats:
        """Those of the labels, then those of the predictions, (2, n); NaN where the fit takes all."""
        return np.stack([self.fit.residuals(self.label), self.fit.residuals(self.predicted)])

    def columns(self) -> Row:
        """What both kinds of rows say of the fit and of where it was made."""
        return {"n_elements": self.fit.n_elements, "rank": self.fit.rank, **self.labels.where()}


def energy_residuals(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None,
    name: str | None,
    source: str | None,
    models: Names,
    systems: Names,
    missing: str | None,
) -> list[Row]:
    """One row of `RESIDUAL` a model and system that has a label and a prediction. Total energies, in eV."""
    selection = select(find_dataset(connection, dataset), systems)
    found = compare(connection, selection, name, source, models, missing)
    return [row for compared in found for row in _residual_rows(compared)]


def energy_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None,
    name: str | None,
    source: str | None,
    models: Names,
    systems: Names,
    missing: str | None,
) -> list[Row]:
    """One row of `ERROR` a model: by how much the residuals of its predictions and of the labels differ.

    mae, rmse, median_error (of the errors' sizes; one crystal with atoms too close may rule the others) and raw_mae (of
    the energies as they are) in eV, mae_per_atom in eV/atom, over n systems; absorbed: those besides of which the fit
    takes all. low to high: 95 % interval of mae by a bootstrap over systems, the fits held. spearman: rank correlation
    of the residuals.
    """
    selection = select(find_dataset(connection, dataset), systems)
    return [
        _error_row(found) for found in compare(connection, selection, name, source, models, missing)
    ]


def measured_scores(
    connection: duckdb.DuckDBPyConnection, dataset: str, name: str | None, source: str | None
) -> list[Row]:
    """mae_per_atom of the trained models as `scores` has published ones: their test set is the dataset.

    Raises ValueError where no model has one.
    """
    twins = {row[0] for row in connection.execute(TWINS).fetchall()}
    rows = [
        _error_row(found)
        for found in compare(connection, Selection(dataset), name, source, None, None)
    ]
    scores = [
        {"model_id": row["model_id"], "score_value": row["mae_per_atom"], "source": row["source"]}
        | {"unit": "eV/atom", "score": SCORE, "test_set": dataset}
        for row in rows
        if row["model_id"] not in twins and row["mae_per_atom"] is not None
    ]
    if not scores:
        raise ValueError(
            f"no trained model has energies to compare on {dataset}: FROM energy_errors says of each why"
        )
    return scores


def compare(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    name: str | None,
    source: str | None,
    models: Names,
    missing: str | None,
) -> list[Compared]:
    """Every model asked for; without names, all with predictions here but the one that is the source of the labels.

    name: the labels' property; None: see `choose_label_set`. source: None is the property's only one that is no model.
    missing: 'pairwise' takes all systems of a model, 'common' those that all models have predictions for.
    """
    if missing is not None and missing not in MISSING:
        raise ValueError(unknown_name("way to treat missing systems", missing, MISSING))
    known = read_label_sets(connection, selection)
    labels = read_labels(
        connection, selection, choose_label_set(selection.dataset, known, name, source)
    )
    if models is None:
        names = [
            p.source
            for p in known
            if p.is_model and p.name == ENERGY and p.source != labels.of.source
        ]
    else:
        names = list(dict.fromkeys(find_source(connection, model).model_id for model in models))
    return _compare(
        labels, names, _read_predictions(connection, labels, names), common=missing == "common"
    )


def _read_predictions(
    connection: duckdb.DuckDBPyConnection, labels: Labels, models: Sequence[str]
) -> dict[str, tuple[Places, Floats]]:
    """By model: for which of the labels it has a prediction, ascending, and the energies in eV."""
    chosen: dict[str, Any] = labels.selection.parameters() | {"models": list(models)}
    found = {}
    for model, systems, values in connection.execute(PREDICTIONS, chosen).fetchall():
        _, places, rows = np.intersect1d(
            labels.systems, systems, assume_unique=True, return_indices=True
        )
        found[model] = places, np.array(values, dtype=np.float64)[rows]
    return found


def _compare(
    labels: Labels,
    models: Sequence[str],
    predictions: dict[str, tuple[Places, Floats]],
    *,
    common: bool,
) -> list[Compared]:
    present = [places for places, _ in predictions.values() if places.size]
    shared = reduce(np.intersect1d, present) if common and present else None
    fits: dict[bytes, Composition] = {}  # most models have all systems
    found = []
    for model in models:
        places, energies = predictions.get(model, NONE)
        if shared is not None:
            kept = np.isin(places, shared)
            places, energies = places[kept], energies[kept]
        key = places.tobytes()
        if key not in fits:
            fits[key] = Composition.of(labels.counts[places])
        found.append(Compared(model, labels, places, energies, fits[key]))
    return found


def _residual_rows(found: Compared) -> Iterator[Row]:
    labels, leverage, atoms = found.labels, found.fit.leverage, found.n_atoms
    left = found.residuals()
    residuals = np.concatenate([left, left / atoms])
    n = int(np.count_nonzero(~np.isnan(left[0])))
    for i, place in enumerate(found.places.tolist()):
        absorbed = bool(np.isnan(left[0, i]))
        yield {
            "model_id": found.model,
            "system_id": str(labels.systems[place]),
            "formula": labels.formulas[place],
            "label": labels.energies[place],
            "predicted": found.predicted[i],
            **dict(
                zip(RESIDUALS, [None] * 4 if absorbed else residuals[:, i].tolist(), strict=True)
            ),
            "n_atoms": int(atoms[i]),
            "leverage": leverage[i],
            "n": n,
            **found.columns(),
            "reason": ABSORBED if absorbed else None,
        }


def _error_row(found: Compared) -> Row:
    left = found.residuals()
    kept = ~np.isnan(left[0])
    errors = np.abs(left[1] - left[0])[kept]
    row = dict.fromkeys(
        ("mae", "low", "high", "rmse", "median_error", "mae_per_atom", "spearman", "raw_mae")
    )
    if errors.size:
        low, high = composition.mean_interval(errors) or (None, None)
        row |= {
            "mae": errors.mean(),
            "low": low,
            "high": high,
            "rmse": np.sqrt(np.square(errors).mean()),
            "median_error": np.median(errors),
            "mae_per_atom": (errors / found.n_atoms[kept]).mean(),
            "spearman": composition.rank_correlation(*left[:, kept]),
            "raw_mae": np.abs(found.predicted - found.label)[kept].mean(),
        }
    counted = {"n": errors.size, "absorbed": kept.size - errors.size}
    why = {
        "warning": _warning(found.fit, kept) if errors.size else None,
        "reason": _why_nothing(found, kept),
    }
    return {"model_id": found.model, **row, **counted, **found.columns(), **why}


def _warning(fit: Composition, kept: NDArray[np.bool_]) -> str | None:
    """A sentence where the fit takes a good part of what a model gets wrong. kept: systems that have residuals."""
    if kept.size >= FEW * fit.rank:
        return None
    return (
        f"{kept.size} systems for {fit.rank} constants of the composition model: errors are too small, since the fit "
        f"takes much of them; expected {FEW * fit.rank} systems or more"
    )


def _why_nothing(found: Compared, kept: NDArray[np.bool_]) -> str | None:
    where = f"on {found.labels.selection.dataset}"
    if kept.any():
        return None
    if kept.size:
        return f"the composition model has as many constants as there are systems {where}, {kept.size}, and takes all"
    return f"no system {where} has both a label and a prediction of {found.model}"
