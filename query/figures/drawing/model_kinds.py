"""How many models of each kind there are, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from zoo.terminal import plural

# Of models and what stands for them, as pages call them.
KINDS = {
    "model": "trained model",
    "descriptor": "descriptor",
    "twin": "untrained twin",
    "control": "control",
}


def count_kinds(kinds: Iterable[str], about: Mapping[str, str] | None = None) -> str:
    """Return how many models of each kind there are.

    Args:
        kinds: The kind of each model, a key of KINDS.
        about: What is said behind the number of a kind, by kind.

    Returns:
        For example "9 trained models, 4 descriptors and 1 control".
    """
    counts = Counter(kinds)
    found = [
        plural(counts[kind], name) + (about or {}).get(kind, "")
        for kind, name in KINDS.items()
        if kind in counts
    ]
    *first, last = found or ["no models"]
    return f"{', '.join(first)} and {last}" if first else last


def note_networks(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return how many networks trained models are, if some have the same weights.

    Args:
        rows: Models with kind and same_weights, as of the statement `provenance_models`.

    Returns:
        What `count_kinds` says behind the number of trained models, for example " (8 networks)".
    """
    trained = [row for row in rows if row["kind"] == "model"]
    networks = {frozenset([row["model_id"], *row["same_weights"]]) for row in trained}
    few = len(networks) < len(trained)
    return {"model": f" ({plural(len(networks), 'network')})"} if few else {}
