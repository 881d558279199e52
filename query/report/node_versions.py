"""The versions of the figure of atoms and residues, made from what a store has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice

import duckdb

from query.figures import NothingToDraw
from query.reading.node_vectors import find_kinds, find_models_with_nodes
from query.report.views import Version

_PAIRS = 3  # of models whose nodes are compared
_K = 5  # as there are few nodes of a kind


def per_nodes(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset, kind of node, and pair of trained models with nodes there.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions, at most _PAIRS of a dataset and kind.

    Raises:
        NothingToDraw: If there are no two such models.
    """
    found = []
    for dataset in datasets:
        models = find_models_with_nodes(connection, dataset)
        pairs = list(islice(combinations(models, 2), _PAIRS))
        for by in find_kinds(connection, dataset) if pairs else ():
            for a, b in pairs:
                switches = {"dataset": dataset, "kinds": by, "models": f"{a} and {b}"}
                options = {"dataset": dataset, "by": by, "model_a": a, "model_b": b}
                found.append(Version(switches, {**options, "k": _K, "per_system": 1}))
    if not found:
        raise NothingToDraw(
            f"no two models have vectors of nodes on {' or '.join(datasets)}: "
            f"matterzoo ingest MODEL {datasets[0]} --nodes"
        )
    return found
