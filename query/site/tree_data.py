"""The tree of a dataset's models in the format of Garden's almanac of models."""

from __future__ import annotations

from typing import Any

import numpy as np

from query.site.addresses import slug
from query.site.results import Results
from query.statistics.neighbor_joining import profile_distances
from query.tables.shared.trees import without_undefined


def tree_data(results: Results, dataset: str, metric: str) -> dict[str, Any]:
    """Return the models of a dataset, and how far apart they are.

    Args:
        results: The results of a site.
        dataset: The dataset.
        metric: The metric whose profiles are compared.

    Returns:
        points: modelName, family, corpus (what it was trained on) and slug (of its page) of each
        model that is aligned with all others; matrix: the square root of the Jensen-Shannon
        divergence (to base 2, from 0 to 1) of the profiles of their alignments, as in the tree.
    """
    known = {
        pair: row
        for (on, by, pair), row in results.alignments.items()
        if (on, by) == (dataset, metric)
    }
    ids = [model for model in results.models if (model, model) in known]
    rows = [[known[min(a, b), max(a, b)] for b in ids] for a in ids]
    values = np.array([[_value(row) for row in some] for some in rows])
    reasons = np.array([[row["reason"] for row in some] for some in rows], dtype=object)
    kept, _ = without_undefined(ids, values, reasons)
    points = [
        {
            "modelName": ids[i],
            "family": results.models[ids[i]]["family"],
            "corpus": ", ".join(results.models[ids[i]]["training_sets"] or ()) or None,
            "slug": slug(ids[i]),
        }
        for i in kept
    ]
    distances = profile_distances(values[np.ix_(kept, kept)]) if kept else np.empty((0, 0))
    return {"dataset": dataset, "metric": metric, "points": points, "matrix": distances.tolist()}


def _value(row: dict[str, Any]) -> float:
    return np.nan if row["value"] is None else float(row["value"])
