"""Columns that functions about labels share; see `query.tables.shared.rows`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class LabelScore:
    """How well a label is predicted."""

    dataset: Annotated[str, "the dataset"]
    property: Annotated[str, "the label"]
    value: Annotated[float | None, "R², or AUC of a label of two values, in folds left out"]
    low: Annotated[float | None, "lower end of its 95 % interval, from resampled groups"]
    high: Annotated[float | None, "upper end of the interval"]
    error: Annotated[float | None, "mean absolute error, or the share in the wrong class"]
    unit: Annotated[str, "the unit of the error"]
    score: Annotated[str, "'r2' or 'auc'"]


@dataclass(frozen=True)
class Splits:
    """How systems were split, and whose labels they have."""

    n_groups: Annotated[int, "groups of systems, none of which is split"]
    groups: Annotated[str, "what the groups are"]
    normalization: Annotated[str, "how vectors were normalized"]
    source: Annotated[str, "who made the labels"]
