"""The sections of the page, in their order: a question, how to read the answer and what it cannot tell, the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import duckdb

from query import figures
from query.figures import NothingToDraw
from query.report.views import Panel, Section, Version
from query.statements import ask
from query.tables.convergence import AN_ERROR
from query.tables.energies import SCORE

Connection = duckdb.DuckDBPyConnection
Versions = Callable[[Connection, Sequence[str]], list[Version]]
QUICK = ("cknna", "mutual_knn")  # 100 pairings by chance are next to nothing
METRICS = (*QUICK, "cka", "distance_correlation", "information_imbalance", "rsa")
MANY = 24  # models from which on the other metrics' pairings by chance take minutes
SCORED = 4  # models that a score needs to be drawn
LABELED = 2  # properties that a map is colored by
SCORES = """
    SELECT score, test_set FROM scores JOIN models_on($dataset) USING (model_id) WHERE kind = 'model'
    GROUP BY score, test_set HAVING count(DISTINCT model_id) >= $least
    ORDER BY count(DISTINCT model_id) DESC, score, test_set
"""
POTENTIALS = """
    SELECT count(DISTINCT m.model_id), bool_or(m.model_id IS NULL AND twin.model_id IS NULL)
    FROM labels LEFT JOIN models m ON m.model_id = source AND m.untrained_of IS NULL
    LEFT JOIN models twin ON twin.model_id = source AND twin.untrained_of IS NOT NULL
    WHERE starts_with(system_id, ?)
"""
LABELS = """
    SELECT property FROM labels WHERE starts_with(system_id, ?) GROUP BY property
    ORDER BY bool_and(source IN (SELECT model_id FROM models)), count(DISTINCT system_id) DESC, property LIMIT ?
"""


def each(**switches: Sequence[str]) -> Versions:
    """A version for each dataset and each combination of these values; a switch is called as the figure's option."""

    def versions(connection: Connection, datasets: Sequence[str]) -> list[Version]:
        found: list[Mapping[str, Any]] = [{"dataset": dataset} for dataset in datasets]
        for name, values in switches.items():
            found = [{**before, name: value} for before in found for value in values]
        return [Version(options, options) for options in found]

    return versions


def by_metric(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """Of many models, only the quick metrics are set against chance."""
    found = []
    for dataset in datasets:
        seen = connection.execute(
            "SELECT count(*) FROM models_on(?) WHERE kind IN ('model', 'descriptor')", [dataset]
        )
        many = seen.fetchall()[0][0] > MANY
        for metric in METRICS:
            switches = {"dataset": dataset, "metric": metric}
            found.append(
                Version(
                    switches,
                    {**switches, "permutations": 0} if many and metric not in QUICK else switches,
                )
            )
    return found


def two_by_two(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """Each pair of datasets."""
    pairs = list(combinations(datasets, 2))
    if not pairs:
        raise NothingToDraw(f"two datasets are needed: matterzoo report {datasets[0]},…")
    return [
        Version({"datasets": f"{a} and {b}"}, {"dataset_a": a, "dataset_b": b}) for a, b in pairs
    ]


def alone_or_two(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """Each pair of datasets; one alone where there is no other."""
    if len(datasets) > 1:
        return two_by_two(connection, datasets)
    return [Version({"datasets": datasets[0]}, {"dataset_a": datasets[0]})]


def by_score(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """The errors that enough models of a dataset have on one test set, and what is measured on their energies."""
    found = []
    for dataset in datasets:
        rows = connection.execute(SCORES, {"dataset": dataset, "least": SCORED}).fetchall()
        for score, test_set in rows:
            if AN_ERROR.search(score):
                options = {"dataset": dataset, "score": score, "test_set": test_set}
                found.append(
                    Version({"dataset": dataset, "score": f"{score}, {test_set}"}, options)
                )
        potentials, labeled = connection.execute(POTENTIALS, [f"{dataset}/"]).fetchall()[0]
        if labeled and potentials >= SCORED:
            options = {"dataset": dataset, "score": SCORE}
            found.append(Version(options, options))
    if not found:
        raise NothingToDraw(
            f"no error is known of {SCORED} models with vectors on {' or '.join(datasets)}: see FROM scores"
        )
    return found


def by_color(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """One model a dataset, both methods; sizes, and the properties that most systems have."""
    found = []
    for dataset in datasets:
        if not connection.execute(
            "FROM models_on(?) WHERE kind IN ('model', 'descriptor')", [dataset]
        ).fetchall():
            continue
        model = ask(connection, "system_map", dataset=dataset).rows[0][
            "model_id"
        ]  # once, not for every version
        labels = connection.execute(LABELS, [f"{dataset}/", LABELED]).fetchall()
        colors = ["n_atoms", "n_elements", *(name for (name,) in labels)]
        for method in ("pca", "umap"):
            for color in colors:
                switches = {"dataset": dataset, "method": method, "color": color}
                found.append(Version(switches, {**switches, "model": model}))
    if not found:
        raise NothingToDraw(
            f"no model has vectors on {' or '.join(datasets)}: matterzoo ingest MODEL DATASET"
        )
    return found


SECTIONS = (
    Section(
        "control_alignment",
        "Can the numbers below be believed?",
        "Controls are made-up models of which the answer is known: the same vectors turned or scaled must give "
        "what a thing gives with itself, shuffled or random ones what chance gives, constant ones nothing. Where "
        "one does not, the pipeline is wrong somewhere, and no other figure means anything. That all hold does "
        "not show that a model was run as its makers meant it.",
        [Panel("control_alignment", figures.control_alignment, each())],
    ),
    Section(
        "alignment_matrix",
        "How alike do models see the same matter?",
        "Each cell compares two models by their vectors of the same systems. The order is that of their tree, so "
        "alike models are neighbors. A high value says that two models arrange the systems alike, not that "
        "either is right. Values of different metrics, or at different n and k, do not compare. Point at a cell "
        "for the value, what chance gives, and the value calibrated by it.",
        [Panel("alignment_matrix", figures.alignment_matrix, by_metric)],
    ),
    Section(
        "model_tree",
        "Which models belong together?",
        "Neighbor joining of the models, by the root of the Jensen-Shannon divergence of their CKNNA profiles: "
        "models that align alike with all others are close. Only lengths along the branches count, not the order "
        "from top to bottom. A tree always shows groups, also where there are none: check them in the matrix "
        "above. The Newick text is in the CSV.",
        [Panel("model_tree", figures.model_tree, each(color=("family", "input", "training")))],
    ),
    Section(
        "convergence",
        "Do better models see matter more like the best one?",
        "Alignment with a reference model, the best one unless the figure says otherwise, against an error. If "
        "models converge as they get better, alignment falls as the error grows. Models of the reference's own "
        "family are alike and often good for one and the same reason, so the right panel leaves them out. A "
        "correlation over a handful of models is weak evidence: mind the interval.",
        [Panel("convergence", figures.convergence, by_score)],
    ),
    Section(
        "alignment_across_datasets",
        "Do models agree inside and outside of what they were trained on?",
        "Each point is a pair of models: how alike they are on one dataset, across, and on another, up, at equal "
        "numbers of systems, since values depend on it. Pairs below the diagonal agree less on the second "
        "dataset. Which dataset is out of distribution, and for which model, is for the reader to say: a store "
        "cannot know.",
        [Panel("alignment_across_datasets", figures.alignment_across_datasets, two_by_two)],
    ),
    Section(
        "information_imbalance_plane",
        "Does one model know what another knows?",
        "Information imbalance: how far neighbors in one model's vectors are neighbors in another's. Near 0, 0 "
        "two models hold the same; near 1, 1 they have nothing to do with each other; off the diagonal one holds "
        "the other's and more. It looks at nearest neighbors only, so noise at short range hides what is shared at"
        " long range.",
        [Panel("information_imbalance_plane", figures.information_imbalance_plane, alone_or_two)],
    ),
    Section(
        "dimensions",
        "In how many directions do the vectors vary?",
        "Intrinsic dimension counts the directions in which vectors vary locally, however long the vectors are. "
        "Lines are intervals from subsamples. Estimates grow with n and with noise, so compare models on one "
        "dataset only. A small number may mean a good summary or a poor one; the untrained twin, in the same row, "
        "tells how much is the architecture's.",
        [Panel("dimensions", figures.dimensions, each())],
    ),
    Section(
        "kinship",
        "What explains alignment: family, training data, or neither?",
        "Each point is a pair of models. Pairs of one family share architecture and code; others may share "
        "training data, whatever its name, or data drawn from one source; the rest share neither. The p-values come "
        "from shuffling the labels of models, not of pairs, since pairs that share a model are no "
        "independent witnesses. With few models even a large "
        "difference cannot reach a small p.",
        [Panel("kinship", figures.kinship, each())],
    ),
    Section(
        "alignment_curve",
        "How do values depend on the number of systems and on k?",
        "The pairs that are most and least alike, at growing numbers of systems and of neighbors, with what chance"
        " gives there. Values at different n or k do not compare. Where a line still bends at its right end, more "
        "systems would change the value.",
        [Panel("alignment_curve", figures.alignment_curve, each(metric=QUICK))],
    ),
    Section(
        "training_effect",
        "What did training add?",
        "An untrained twin is the same network with weights drawn at random. Each point is a pair of models: how "
        "alike their twins are, across, and how alike they are themselves, up. On the diagonal the architecture "
        "explains it all. Above it, training brought the two together; below it, training set them apart. On the "
        "right, the same differences as shares of pairs.",
        [Panel("training_effect", figures.training_effect, each())],
    ),
    Section(
        "energy_errors",
        "Do potentials agree on energies, once composition is taken out?",
        "Potentials have different zeros of energy. So a linear model of the composition is fitted to the labels "
        "and to each model's predictions, and what is left is compared (equations 1 to 4 of arXiv 2512.03750). What"
        " the fit takes out is not seen here, and it takes out more the fewer systems there are for each element.",
        [Panel("energy_errors", figures.energy_errors, each())],
    ),
    Section(
        "system_map",
        "What does one model see?",
        "Each point is a system, placed by one model's vectors. Principal components keep distances as far as two "
        "axes can; UMAP keeps neighbors, while its distances, densities and gaps mean little. Both leave out most "
        "of what the vectors hold.",
        [Panel("system_map", figures.system_map, by_color)],
    ),
)
