"""The tree of models that are aligned with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query.metrics import find_metric
from query.statistics import neighbor_joining
from query.statistics.neighbor_joining import Matrix, Node
from query.tables.shared.rows import Aligned

Reasons = NDArray[Any]  # (n, n), a text or None


@dataclass(frozen=True)
class ModelTree:
    """A neighbor-joining tree.

    Attributes:
        nodes: Its nodes, depth first.
        newick: The same as text.
        left_out: The models that have no place in it, with the reason.
    """

    nodes: Sequence[Node]
    newick: str
    left_out: dict[str, str]

    @property
    def leaves(self) -> list[str]:
        """The models in the order of the drawing."""
        return [node.name for node in self.nodes if node.name is not None]


def grow_tree(dataset: str, rows: Sequence[Aligned]) -> ModelTree:
    """Return the tree of some models.

    Of a metric that falls with likeness, it is the tree of the largest value minus each.

    Args:
        dataset: The dataset, for the message.
        rows: All ordered pairs of the models by one metric, row by row.

    Raises:
        ValueError: If fewer than two models are aligned.
    """
    labels, values, reasons = _as_matrix(rows)
    if rows and find_metric(rows[0].metric).lower_is_closer:
        values = np.nan_to_num(values).max() - values
    kept, left_out = without_undefined(labels, values, reasons)
    if len(kept) < 2:
        why = "; ".join(f"{label}: {reason}" for label, reason in left_out.items())
        raise ValueError(
            f"a tree needs two models aligned on {dataset}, found {len(kept)} "
            f"({why or 'no vectors'})"
        )
    nodes, newick = neighbor_joining.join([labels[i] for i in kept], values[np.ix_(kept, kept)])
    return ModelTree(nodes, newick, left_out)


def without_undefined(
    labels: Sequence[str], values: Matrix, reasons: Reasons
) -> tuple[list[int], dict[str, str]]:
    """Leave out models until all that are left are aligned with each other.

    The model with the most undefined values goes first.

    Args:
        labels: The models, n of them.
        values: Their alignments, (n, n), NaN where undefined.
        reasons: Why a value is undefined, (n, n).

    Returns:
        The places of the models that are left, and the reasons of the others.
    """
    kept = list(range(len(labels)))
    left_out: dict[str, str] = {}
    while kept and np.isnan(values[np.ix_(kept, kept)]).any():
        gaps = np.isnan(values[np.ix_(kept, kept)]).sum(axis=1)
        worst = kept.pop(int(gaps.argmax()))
        left_out[labels[worst]] = next(reason for reason in reasons[worst] if reason is not None)
    return kept, left_out


def _as_matrix(rows: Sequence[Aligned]) -> tuple[list[str], Matrix, Reasons]:
    labels = list(dict.fromkeys(row.model_a for row in rows))
    size = (len(labels), len(labels))
    values = np.array([np.nan if row.value is None else row.value for row in rows])
    reasons = np.array([row.reason for row in rows], dtype=object)
    return labels, values.reshape(size), reasons.reshape(size)
