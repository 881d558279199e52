"""The versions of a figure that a reader can choose from, made from what a store has.

A switch has the name of the option that it sets: dataset, metric, color, …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, islice
from typing import Any

import duckdb

from query.figures import NothingToDraw
from query.reading.layers import MEAN, find_layered, find_layers
from query.reading.selection import held
from query.report.views import Version, Versions
from query.statements import ask
from query.tables.shared.scores import ERROR_NAME, MEASURED

# The metrics that are set against chance in any case: 100 random pairings cost next to nothing.
QUICK = ("cknna", "mutual_knn")
METRICS = (*QUICK, "cka", "distance_correlation", "information_imbalance", "rsa")
_MANY = 24  # models, from which on the random pairings of the other metrics take minutes
_SCORED = 4  # models that a score needs to be drawn
_LABELED = 2  # properties that a map is colored by
_MAPS = 6  # models of which there is a map
_POINTS = 3000  # systems of a map on a page: of 10,000 it takes seconds to draw, and points overlap
_FACTS = ("crystal_system", "group", "element", "rings", "n_elements", "n_atoms", "n_residues")
_SCORES = """
    SELECT score, test_set FROM scores JOIN models_on($dataset) USING (model_id)
    WHERE kind = 'model'
    GROUP BY score, test_set HAVING count(DISTINCT model_id) >= $least
    ORDER BY count(DISTINCT model_id) DESC, score, test_set
"""
_POTENTIALS = """
    SELECT count(DISTINCT m.model_id), bool_or(m.model_id IS NULL AND twin.model_id IS NULL)
    FROM labels LEFT JOIN models m ON m.model_id = source AND m.untrained_of IS NULL
    LEFT JOIN models twin ON twin.model_id = source AND twin.untrained_of IS NOT NULL
    WHERE starts_with(system_id, ?)
"""
# Properties that somebody measured or computed come before models' predictions.
_LABELS = """
    SELECT property FROM labels WHERE starts_with(system_id, ?) GROUP BY property
    ORDER BY bool_and(source IN (SELECT model_id FROM models)), count(DISTINCT system_id) DESC,
             property
    LIMIT ?
"""
_COMPARED = "SELECT model_id FROM models_on(?) WHERE kind = 'descriptor' ORDER BY model_id LIMIT ?"
_REFERENCES = 2  # descriptors that layers are compared with, beside the models themselves
_ITSELF = "each model itself"
_LAYERED = 10  # pairs of models whose layers are compared
_SEEN = "SELECT count(*) FROM models_on(?) WHERE kind IN ('model', 'descriptor')"


def per_dataset(**switches: Sequence[str]) -> Versions:
    """Make one version per dataset and combination of values.

    Args:
        switches: The values of each further switch.

    Returns:
        A function that makes the versions from a connection and the names of datasets.
    """
    return partial(_per_dataset, switches)


def _per_dataset(
    switches: Mapping[str, Sequence[str]],
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
) -> list[Version]:
    found: list[Mapping[str, Any]] = [{"dataset": dataset} for dataset in datasets]
    for name, values in switches.items():
        found = [{**before, name: value} for before in found for value in values]
    return [Version(options, options) for options in found]


def per_metric(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset and metric.

    If a dataset has many models, only the quick metrics are set against chance.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions.
    """
    found = []
    for dataset in datasets:
        many = connection.execute(_SEEN, [dataset]).fetchall()[0][0] > _MANY
        for metric in METRICS:
            switches = {"dataset": dataset, "metric": metric}
            fast = {"permutations": 0} if many and metric not in QUICK else {}
            found.append(Version(switches, {**switches, **fast}))
    return found


def per_dataset_pair(
    connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]
) -> list[Version]:
    """Make one version per pair of datasets.

    Args:
        connection: A connection to a store; not used.
        datasets: Names of datasets.

    Returns:
        The versions.

    Raises:
        NothingToDraw: If there is only one dataset.
    """
    pairs = list(combinations(datasets, 2))
    if not pairs:
        raise NothingToDraw(f"two datasets are needed: matterzoo report {datasets[0]},…")
    return [
        Version({"datasets": f"{a} and {b}"}, {"dataset_a": a, "dataset_b": b}) for a, b in pairs
    ]


def per_dataset_or_pair(
    connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]
) -> list[Version]:
    """Make one version per pair of datasets, or one version if there is only one dataset.

    Args:
        connection: A connection to a store; not used.
        datasets: Names of datasets.

    Returns:
        The versions.
    """
    if len(datasets) > 1:
        return per_dataset_pair(connection, datasets)
    return [Version({"datasets": datasets[0]}, {"dataset_a": datasets[0]})]


def per_score(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset and error that enough models have.

    These are errors on one test set that table scores has, and the error that is computed from
    the models' own energies.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions.

    Raises:
        NothingToDraw: If no error is known for enough models.
    """
    found = [version for dataset in datasets for version in _scores_on(connection, dataset)]
    if not found:
        raise NothingToDraw(
            f"fewer than {_SCORED} models with vectors on {' or '.join(datasets)} have a known "
            "error, published or against labels of energies: "
            "matterzoo query 'FROM scores'"
        )
    return found


def _scores_on(connection: duckdb.DuckDBPyConnection, dataset: str) -> list[Version]:
    found = []
    rows = connection.execute(_SCORES, {"dataset": dataset, "least": _SCORED}).fetchall()
    for score, test_set in rows:
        if ERROR_NAME.search(score):
            options = {"dataset": dataset, "score": score, "test_set": test_set}
            found.append(Version({"dataset": dataset, "score": f"{score}, {test_set}"}, options))
    potentials, labeled = connection.execute(_POTENTIALS, [f"{dataset}/"]).fetchall()[0]
    if labeled and potentials >= _SCORED:
        options = {"dataset": dataset, "score": MEASURED}
        found.append(Version(options, options))
    return found


def per_color(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset, method and color, of the models that see most as others do.

    The colors are what the systems are, and the properties that most of them have. A map by UMAP
    takes a second, so that there is one for the first model alone.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions.

    Raises:
        NothingToDraw: If no model has vectors on any of the datasets.
    """
    found = [
        version
        for dataset in datasets
        if connection.execute(_SEEN, [dataset]).fetchall()[0][0]
        for version in _colors_on(connection, dataset)
    ]
    if not found:
        raise NothingToDraw(
            f"no model has vectors on {' or '.join(datasets)}: matterzoo ingest MODEL DATASET"
        )
    return found


def per_layered_pair(
    connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]
) -> list[Version]:
    """Make one version per dataset and pair of trained models whose layers are in the store.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions, at most _LAYERED of a dataset.

    Raises:
        NothingToDraw: If there are no two such models.
    """
    found = []
    layered = (
        f"SELECT model_id FROM ({held(connection)}) JOIN models USING (model_id) WHERE dataset = ? "
        "AND representation = 'layer-1' AND untrained_of IS NULL ORDER BY model_id"
    )
    for dataset in datasets:
        models = [name for (name,) in connection.execute(layered, [dataset]).fetchall()]
        for a, b in islice(combinations(models, 2), _LAYERED):
            switches = {"dataset": dataset, "models": f"{a} and {b}"}
            found.append(Version(switches, {"dataset": dataset, "model_a": a, "model_b": b}))
    if not found:
        raise NothingToDraw(
            f"no two models have layers on {' or '.join(datasets)}: "
            f"matterzoo ingest MODEL {datasets[0]} --representation layers"
        )
    return found


def per_layered(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
    """Make one version per dataset with layers and reference: each model itself, or a descriptor.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The versions.

    Raises:
        NothingToDraw: If no model has layers on any of the datasets.
    """
    found = []
    layered = {
        dataset
        for name in find_layered(connection, MEAN)
        for dataset in find_layers(connection, name, MEAN)
    }
    for dataset in datasets:
        if dataset in layered:
            found.append(Version({"dataset": dataset, "reference": _ITSELF}, {"dataset": dataset}))
            for (name,) in connection.execute(_COMPARED, [dataset, _REFERENCES]).fetchall():
                options = {"dataset": dataset, "reference": name}
                found.append(Version(options, options))
    if not found:
        raise NothingToDraw(
            f"no model has layers on {' or '.join(datasets)}: "
            f"matterzoo ingest MODEL {datasets[0]} --representation layers"
        )
    return found


def _colors_on(connection: duckdb.DuckDBPyConnection, dataset: str) -> list[Version]:
    # The models are chosen once here: choosing them compares all models.
    rows = ask(connection, "system_map", dataset=dataset, maps=_MAPS, max_systems=_POINTS).rows
    models = list(dict.fromkeys(row["model_id"] for row in rows if row["reason"] is None))
    labels = connection.execute(_LABELS, [f"{dataset}/", _LABELED]).fetchall()
    differing = [
        name for name in _FACTS if len({row[name] for row in rows if row[name] is not None}) > 1
    ]
    return [
        Version(switches, {**switches, "model": some, "max_systems": _POINTS})
        for method, some in (("pca", models), ("umap", models[:1]))
        for color in [*differing, *(name for (name,) in labels)]
        for switches in [{"dataset": dataset, "method": method, "color": color}]
    ]
