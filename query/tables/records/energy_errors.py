"""energy_errors(dataset, …): how well models predict energies, whatever their zero is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.reading.selection import find_dataset
from query.statistics import composition
from query.statistics.composition import Composition
from query.statistics.rank_correlation import spearman_coefficient
from query.tables.shared.declare import TableFunction
from query.tables.shared.energies import PARAMETERS, Fit, Predictions, compare_predictions
from query.tables.shared.rows import Notes
from query.tables.shared.selecting import Names, select

_MEASURED = (
    *("mae", "low", "high", "rmse", "median_error", "spearman", "raw_mae"),
    *("mae_per_atom", "low_per_atom", "high_per_atom"),
)
_FEW = 5  # systems per constant, below which the fit takes much of what a model gets wrong


@dataclass(frozen=True)
class _Errors:
    """The errors of the predictions of a model, without what the composition explains."""

    model_id: Annotated[str, "the model"]
    mae: Annotated[float | None, "mean absolute difference of the residuals, in eV"]
    low: Annotated[float | None, "lower end of the 95 % interval of mae"]
    high: Annotated[float | None, "upper end of the 95 % interval of mae"]
    rmse: Annotated[float | None, "root mean square difference, in eV"]
    median_error: Annotated[float | None, "median absolute difference, in eV"]
    mae_per_atom: Annotated[float | None, "mean absolute difference, in eV per atom"]
    low_per_atom: Annotated[float | None, "lower end of the 95 % interval of mae_per_atom"]
    high_per_atom: Annotated[float | None, "upper end of the 95 % interval of mae_per_atom"]
    spearman: Annotated[float | None, "rank correlation of the residuals"]
    raw_mae: Annotated[float | None, "mean absolute difference of the energies as they are, in eV"]
    n: Annotated[int, "systems that are compared"]
    absorbed: Annotated[int, "other systems, of which the fit takes all"]


@dataclass(frozen=True)
class Row(Notes, Fit, _Errors):
    """The errors of a model, and what to know before they are believed."""


def energy_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    property_name: str | None = None,
    source: str | None = None,
    models: Names = None,
    systems: Names = None,
    missing: str = "pairwise",
) -> Sequence[Row]:
    """Measure by how much the residuals of predictions differ from those of labels.

    The median of the errors is there because one crystal with atoms too close may dominate the
    mean. The intervals of means are a bootstrap over systems with the fits held.

    Args:
        connection: A connection to a store.
        dataset: The dataset.
        property_name: The property of the labels; see `compare_predictions`.
        source: Who made the labels; None is the only one that is no model.
        models: The models; None is all with predictions.
        systems: Ids of systems; None is all.
        missing: 'pairwise' or 'common'; see `compare_predictions`.

    Returns:
        One row per model.

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
    return [_row(predictions) for predictions in found]


def _row(found: Predictions) -> Row:
    left = found.residuals()
    kept = ~np.isnan(left[0])
    errors = found.errors()[kept]
    row: dict[str, Any] = dict.fromkeys(_MEASURED)
    if errors.size:
        per_atom = errors / found.n_atoms[kept]
        low, high = composition.mean_interval(errors) or (None, None)
        low_per_atom, high_per_atom = composition.mean_interval(per_atom) or (None, None)
        row |= {
            "mae": errors.mean(),
            "low": low,
            "high": high,
            "rmse": np.sqrt(np.square(errors).mean()),
            "median_error": np.median(errors),
            "mae_per_atom": per_atom.mean(),
            "low_per_atom": low_per_atom,
            "high_per_atom": high_per_atom,
            "spearman": spearman_coefficient(*left[:, kept]),
            "raw_mae": np.abs(found.predicted - found.label)[kept].mean(),
        }
    return Row(
        model_id=found.model,
        **row,
        n=errors.size,
        absorbed=kept.size - errors.size,
        **found.columns(),
        warning=_warning(found.fit, kept) if errors.size else None,
        reason=_why_nothing(found, kept),
    )


def _warning(fit: Composition, kept: NDArray[np.bool_]) -> str | None:
    """Return a warning if the fit takes a good part of what a model gets wrong."""
    if kept.size >= _FEW * fit.rank:
        return None
    return (
        f"errors look smaller than they are, as the composition model fits {fit.rank} constants "
        f"to {kept.size} systems and takes up a part of them; with {_FEW * fit.rank} systems or "
        "more it takes little"
    )


def _why_nothing(found: Predictions, kept: NDArray[np.bool_]) -> str | None:
    where = f"on {found.labels.selection.dataset}"
    if kept.any():
        return None
    if kept.size:
        return (
            f"the composition model has as many constants as there are systems {where}, "
            f"{kept.size}, and takes all"
        )
    return f"no system {where} has both a label and a prediction of {found.model}"


TABLE_FUNCTION = TableFunction(
    "How far each model's energies are from the labels, in eV, once a linear model of the "
    "composition is taken from both",
    Row,
    PARAMETERS,
    energy_errors,
)
