"""Which datasets and systems a question is about."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from query.reading.selection import Selection, choose_datasets, find_sources

Names = Sequence[str] | None  # NULL in SQL is None


def select(dataset: str, systems: Names) -> Selection:
    """Return the systems that a question is about.

    Args:
        dataset: The dataset.
        systems: Ids of systems; None is all of the dataset.
    """
    return Selection(dataset, None if systems is None else tuple(systems))


def datasets_of(
    connection: duckdb.DuckDBPyConnection, dataset: str | None, models: Names
) -> list[str]:
    """Return the datasets that a question is about.

    Args:
        connection: A connection to a store.
        dataset: The dataset that was asked for; None is all on which the models have vectors.
        models: Names of models as in `find_sources`; None is any model.
    """
    named = None
    if models is not None:
        named = [source for model in models for source in find_sources(connection, model)]
    return choose_datasets(connection, dataset, named)
