"""What a probe is asked: the labels of systems, in groups and folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.normalization import NORMALIZATIONS
from query.engine.suggestions import unknown_name
from query.reading.groups import CONTENT, read_groups
from query.reading.properties import Property, datasets_with, read_property
from query.reading.selection import Selection, find_dataset
from query.statistics.probes.folds import assign_folds, shuffle_labels
from query.tables.shared.declare import REQUIRED, Parameter

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LEAST_FOLDS = 3  # one to be judged, one to choose a penalty on, one to fit
LARGE = 1.5  # folds, from which on a group of that size makes them uneven
LEAST_SYSTEMS = 10  # with a label, below which folds have next to nothing

PROPERTY = Parameter(
    "property", "VARCHAR", REQUIRED, "a property of table labels", argument="property_name"
)
GROUPS = Parameter(
    "groups",
    "VARCHAR",
    None,
    "what a fold never splits: 'formula', 'scaffold', 'family' or any label; "
    "NULL is systems that are the same",
)
FOLDS = Parameter("folds", "BIGINT", 5, "in how many parts the systems are split", least=3)
SCALING = Parameter(
    "normalize",
    "VARCHAR",
    "zscore",
    "how vectors are normalized: 'zscore', 'none', 'l2' or 'max'",
)
LABEL_SOURCE = Parameter(
    "source", "VARCHAR", None, "who made the labels; NULL is all who are no model"
)


@dataclass(frozen=True)
class Question:
    """The labels of n systems, and how they are split.

    Attributes:
        labels: The labels as they are stored.
        values: The labels, (n,); of two values 0 and 1, the larger being 1.
        groups: The group of each system, (n,).
        folds: The fold of each system, (n,).
        grouped_by: What the groups are.
        normalization: How vectors are normalized before they are probed.
        seed: The seed of all that is drawn.
        warning: What was left out.
    """

    labels: Property
    values: Floats
    groups: Whole
    folds: Whole
    grouped_by: str
    normalization: str
    seed: int
    warning: str | None

    @property
    def has_classes(self) -> bool:
        """Whether the label has two values."""
        return self.labels.has_classes

    def columns(self) -> dict[str, Any]:
        """Return the columns of rows that say what was asked."""
        return {
            "dataset": self.labels.selection.dataset,
            "property": self.labels.name,
            "unit": "1" if self.has_classes else self.labels.unit,
            "score": "auc" if self.has_classes else "r2",
            "groups": self.grouped_by,
            "normalization": self.normalization,
            "source": self.labels.source,
        }

    def shuffled(self, places: Whole, count: int) -> Floats:
        """Return labels of some systems in random orders, (n, count).

        Args:
            places: Which systems.
            count: How many orders.
        """
        groups = np.unique(self.groups[places], return_inverse=True)[1]
        return shuffle_labels(self.values[places], groups, count, self.seed)

    def why_not(self, places: Whole) -> str | None:
        """Return why a probe of some systems has no score, or None if it has.

        Args:
            places: Which systems have a vector and a label.
        """
        what = f"'{self.labels.name}'"
        folds = self.folds[places]
        if reason := why_too_few(folds, f"vectors and {what}", self.grouped_by):
            return reason
        for fold in np.unique(folds):
            if np.ptp(self.values[places][self.folds[places] != fold]) == 0:
                return f"{what} is the same for all systems outside of one fold"
        return None


def ask(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    property_name: str,
    *,
    source: str | None,
    groups: str | None,
    folds: int,
    normalize: str,
    seed: int,
) -> Question:
    """Return the labels of a dataset, split.

    Args:
        connection: A connection to a store.
        selection: The systems.
        property_name: The property.
        source: Who says it; None is everyone who is no model.
        groups: What a fold never splits; see `read_groups`. None is 'content'.
        folds: The number of folds.
        normalize: How vectors are normalized, one of NORMALIZATIONS.
        seed: The seed of the order of folds.

    Raises:
        ValueError: There are no such labels, groups or normalization.
    """
    if normalize not in NORMALIZATIONS:
        raise ValueError(unknown_name("normalization", normalize, NORMALIZATIONS))
    labels = read_property(connection, selection, property_name, source)
    name = groups or CONTENT
    found = read_groups(connection, labels, name)
    kept = found >= 0
    if not kept.all():
        systems = [system for system, keep in zip(labels.systems, kept, strict=True) if keep]
        labels = replace(labels, systems=systems, values=labels.values[kept])
    warning = warn_of_groups(found, name, folds)
    values = labels.values
    if labels.has_classes:
        values = (values == values.max()).astype(np.float64)
    numbers = found[kept]
    split = assign_folds(numbers, folds, seed) if numbers.size else numbers
    return Question(labels, values, numbers, split, name, normalize, seed, warning)


def why_too_few(folds: Whole, what: str, grouped_by: str) -> str | None:
    """Return why nothing can be fitted to systems and judged, or None if it can.

    Args:
        folds: The fold of each system, (n,).
        what: What these systems have.
        grouped_by: What the groups are.
    """
    if folds.size < LEAST_SYSTEMS:
        return f"{folds.size} systems have {what}, expected {LEAST_SYSTEMS}"
    found = np.unique(folds).size
    if found < LEAST_FOLDS:
        return (
            f"groups := '{grouped_by}' makes {found} parts of these systems, expected {LEAST_FOLDS}"
        )
    return None


def warn_of_groups(groups: Whole, name: str, folds: int) -> str | None:
    """Return a sentence if systems have no group, or if one group is far more than a fold.

    Args:
        groups: The group of each system, (n,), numbered from 0; −1 for those without.
        name: What the groups are.
        folds: In how many parts the systems are split.
    """
    kept = groups[groups >= 0]
    told = []
    if kept.size < groups.size:
        told.append(f"{groups.size - kept.size} systems have no {name} to be grouped by")
    largest = np.bincount(kept).max(initial=0) / max(kept.size, 1)
    if largest > LARGE / folds:
        told.append(f"one {name} has {largest:.0%} of the systems: folds differ in size")
    return "; ".join(told) or None


def datasets_asked(
    connection: duckdb.DuckDBPyConnection, dataset: str | None, property_name: str
) -> list[str]:
    """Return the dataset that was asked for, or all that have the property.

    Args:
        connection: A connection to a store.
        dataset: The dataset; None is all.
        property_name: The property.

    Raises:
        ValueError: There is no such dataset or property.
    """
    if dataset is not None:
        return [find_dataset(connection, dataset)]
    return datasets_with(connection, property_name)
