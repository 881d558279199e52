"""The sections of the page, in their order: a question, how to read the answer and what it cannot tell, the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import duckdb

from query import figures
from query.figures import NothingToDraw
from query.report.views import Panel, Section, Version

Connection = duckdb.DuckDBPyConnection
Versions = Callable[[Connection, Sequence[str]], list[Version]]
QUICK = ("cknna", "mutual_knn")  # 100 pairings by chance are next to nothing
METRICS = (*QUICK, "cka", "distance_correlation", "information_imbalance", "rsa")
MANY = 24  # models from which on the other metrics' pairings by chance take minutes
SCORED = 4  # models that a score needs to be drawn


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
        seen = connection.execute("SELECT count(*) FROM models_on(?) WHERE kind IN ('model', 'descriptor')", [dataset])
        many = seen.fetchall()[0][0] > MANY
        for metric in METRICS:
            switches = {"dataset": dataset, "metric": metric}
            found.append(
                Version(switches, {**switches, "permutations": 0} if many and metric not in QUICK else switches)
            )
    return found


def two_by_two(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """Each pair of datasets."""
    pairs = list(combinations(datasets, 2))
    if not pairs:
        raise NothingToDraw(f"two datasets are needed: make report DATASET={datasets[0]},…")
    return [Version({"datasets": f"{a} and {b}"}, {"dataset_a": a, "dataset_b": b}) for a, b in pairs]


def alone_or_two(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """Each pair of datasets; one alone where there is no other."""
    if len(datasets) > 1:
        return two_by_two(connection, datasets)
    return [Version({"datasets": datasets[0]}, {"dataset_a": datasets[0]})]


def by_score(connection: Connection, datasets: Sequence[str]) -> list[Version]:
    """The scores that enough models of a dataset have on one test set, those that most have first."""
    found = []
    for dataset in datasets:
        rows = connection.execute(
            "SELECT score FROM (SELECT score, test_set, count(DISTINCT model_id) AS n FROM scores JOIN models_on(?) "
            "USING (model_id) WHERE kind = 'model' GROUP BY ALL) GROUP BY score HAVING max(n) >= ? "
            "ORDER BY max(n) DESC, score",
            [dataset, SCORED],
        ).fetchall()
        scores = [{"dataset": dataset, "score": score} for (score,) in rows]
        found += [Version(switches, switches) for switches in scores]
    if not found:
        raise NothingToDraw(
            f"no score is known of {SCORED} models with vectors on {' or '.join(datasets)}; INSERT INTO scores"
        )
    return found


SECTIONS = (
    Section(
        "controls",
        "Can the numbers below be believed?",
        "Controls are made-up models of which the answer is known: the same vectors turned or scaled must give what"
        " a thing gives with itself, shuffled or random ones what chance gives, constant ones nothing. Where one "
        "does not, the pipeline is wrong somewhere, and no other figure means anything. That all hold does not show"
        " that a model was run as its makers meant it.",
        [Panel("controls", figures.controls, each())],
    ),
    Section(
        "heatmap",
        "How alike do models see the same matter?",
        "Each cell compares two models by their vectors of the same systems; the order is that of their tree, so "
        "alike models are neighbours. A high value says that two models arrange the systems alike, not that either "
        "is right. Values of different metrics, or at different n and k, do not compare. Under the mouse: the "
        "value, what chance gives, and the value calibrated by it.",
        [Panel("heatmap", figures.heatmap, by_metric)],
    ),
    Section(
        "tree",
        "Which models belong together?",
        "Neighbour joining of the models by how alike their alignments with all others are (the root of the Jensen-"
        "Shannon divergence of their CKNNA profiles). Only branch lengths along the tree count; the order from top "
        "to bottom does not. A tree always shows groups, also where there are none: check them in the matrix above.",
        [Panel("tree", figures.tree, each(color=("family", "input", "training")))],
    ),
    Section(
        "distribution",
        "Do models agree inside and outside of what they were trained on?",
        "Left and right, the same pairs of models on two datasets, at equal numbers of systems, since values depend"
        " on it. Pairs below the diagonal agree less on the second dataset. Which dataset is out of distribution, "
        "and for which model, is for the reader to say: a store cannot know.",
        [Panel("distribution", figures.distribution, two_by_two)],
    ),
    Section(
        "imbalance",
        "Does one model know what another knows?",
        "Information imbalance: how far neighbours in one model's vectors are neighbours in another's. Near 0, 0 "
        "two models hold the same; near 1, 1 they have nothing to do with each other; off the diagonal one holds "
        "the other's and more. It looks at nearest neighbours only, so noise at short range hides what is shared at"
        " long range.",
        [Panel("imbalance", figures.imbalance, alone_or_two)],
    ),
    Section(
        "dimension",
        "In how many directions do the vectors vary?",
        "Intrinsic dimension counts the directions in which vectors vary near each other, whatever the vectors' "
        "length. The bars come from subsamples. Estimates grow with n and shrink with noise, so compare models on "
        "one dataset only; a small number may mean a good summary or a poor one.",
        [Panel("dimension", figures.dimension, each())],
    ),
    Section(
        "beyond_twins",
        "What did training add?",
        "An untrained twin is the same network with weights drawn at random. Each point is a pair of models: how "
        "alike their twins are, across, and how alike they are themselves, up. On the diagonal the architecture "
        "explains it all; above it, something was learned in common. The band is what wrongly paired systems give.",
        [Panel("beyond_twins", figures.beyond_twins, each())],
    ),
)
