"""The sections of the page, in their order: a question, how to read the answer and what it cannot tell, the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb

from query import figures
from query.report.views import Panel, Section, Version

Versions = Callable[[duckdb.DuckDBPyConnection, Sequence[str]], list[Version]]
# Quick for 60 models; the others take a matrix product a pair and permutation.
METRICS = ("cknna", "mutual_knn", "cka", "distance_correlation", "information_imbalance", "rsa")


def each(**switches: Sequence[str]) -> Versions:
    """A version for each dataset and each combination of these values; a switch is called as the figure's option."""

    def versions(connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]) -> list[Version]:
        found: list[Mapping[str, Any]] = [{"dataset": dataset} for dataset in datasets]
        for name, values in switches.items():
            found = [{**before, name: value} for before in found for value in values]
        return [Version(options, options) for options in found]

    return versions


SECTIONS = (
    Section(
        "heatmap",
        "How alike do models see the same matter?",
        "Each cell compares two models by their vectors of the same systems; alike models are neighbours, in the "
        "order of their tree. Under the mouse: the value, what chance would give, and the value calibrated by it. "
        "A high value says that two models order the systems alike. It does not say that either is right.",
        [Panel("heatmap", figures.heatmap, each(metric=METRICS))],
    ),
)
