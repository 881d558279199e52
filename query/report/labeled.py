"""The versions of figures about labels and references, made from what a store has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import duckdb

from query.figures import NothingToDraw
from query.report.views import Version
from query.tables.shared.probes.question import LEAST_SYSTEMS

_SHUFFLES = 39  # of labels: p can be as small as 0.025, and a report takes half as long
_LABELED = 2  # properties that are probed on a dataset
_PROBED = """
    SELECT property FROM labels WHERE starts_with(system_id, ?)
    AND source NOT IN (SELECT model_id FROM models)
    GROUP BY property HAVING count(DISTINCT system_id) >= ? AND count(DISTINCT value) > 1
    AND count(DISTINCT unit) = 1 AND count(DISTINCT system_id) = count(*)
    ORDER BY count(*) DESC, property LIMIT ?
"""


def per_property(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset and property, of the properties that the most systems have.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions, at most _LABELED of a dataset.

    Raises:
        NothingToDraw: If no dataset has labels that are no predictions of models.
    """
    found = []
    for dataset in datasets:
        asked = [f"{dataset}/", LEAST_SYSTEMS, _LABELED]
        for (name,) in connection.execute(_PROBED, asked).fetchall():
            switches = {"dataset": dataset, "property": name}
            found.append(Version(switches, {**switches, "permutations": _SHUFFLES}))
    if not found:
        raise NothingToDraw(
            f"{' or '.join(datasets)} has no property that was measured for {LEAST_SYSTEMS} "
            "systems, so that nothing can be read from vectors: labels come with a dataset such "
            "as g2, or with a .parquet file: matterzoo ingest MODEL mine.parquet"
        )
    return found


def per_reference(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset and other dataset that is its reference.

    Args:
        connection: A connection to a store; not used.
        datasets: Names of datasets.

    Returns:
        The versions.

    Raises:
        NothingToDraw: If there is only one dataset.
    """
    found = [
        Version(options, options)
        for dataset, reference in permutations(datasets, 2)
        for options in [{"dataset": dataset, "reference": reference}]
    ]
    if not found:
        raise NothingToDraw(f"a second dataset is needed: matterzoo report {datasets[0]},…")
    return found
