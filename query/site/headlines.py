"""What is said first of a dataset: which trained models are most alike, and what weakens this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from query.figures.drawing.labels import metric_label
from query.site.results import METRICS, Results, unlikeness
from query.site.words import fixed, interval, on_scale
from zoo.terminal import first_of, plural

Row = dict[str, Any]
_NAMED = 3  # pairs that a sentence names
_MOST = "are, by {}, most alike among trained models of different families"
_ALONE = "are the only two trained models of different families that can be compared here"


@dataclass(frozen=True)
class Headline:
    """What is said first of a dataset.

    Attributes:
        pair: The two models, in alphabetical order.
        lead: What they are, the rest of a sentence that begins with their names.
        sentences: The numbers, what is as near, and what to know before it is believed.
    """

    pair: tuple[str, str]
    lead: str
    sentences: list[str]


def find_headline(results: Results, dataset: str) -> Headline | None:
    """Return the trained models of two families that are most alike, by the first of METRICS.

    No p is given, as it is that of one pair and not of the best of many.

    Args:
        results: What the site shows.
        dataset: The dataset.

    Returns:
        The headline, None if no two families can be compared.
    """
    kinds = {name: model["kind"] for name, model in results.models.items()}
    across = _across_families(results, dataset, METRICS[0])
    trained = [row for row in across if _kinds_of(row, kinds) == {"model"}]
    if not trained:
        return None
    best, *others = trained
    pair = best["model_a"], best["model_b"]
    near = [row for row in others if best["low"] is not None and row["value"] >= best["low"]]
    of_twins = [row for row in across if _kinds_of(row, kinds) == {"model", "twin"}]
    twin = next((row for row in of_twins if {*pair} & {row["model_a"], row["model_b"]}), None)
    most = _MOST.format(metric_label(METRICS[0]))
    lead = _ALONE if not others else most + _but(near, best, twin)
    other_metric = _by_other_metric(results, dataset, pair, kinds) if others else ""
    sentences = [_numbers(best), _also(near), _against(twin, pair), other_metric, _warning(best)]
    return Headline(pair, lead, [sentence for sentence in sentences if sentence])


def _across_families(results: Results, dataset: str, metric: str) -> list[Row]:
    """Return the alignments of models of two families that have a value, the most alike first."""
    found = [
        row
        for (on, by, (a, b)), row in results.alignments.items()
        if (on, by) == (dataset, metric) and row["value"] is not None
        if results.models[a]["family"] != results.models[b]["family"]
    ]
    return sorted(found, key=lambda row: (unlikeness(row), row["model_a"], row["model_b"]))


def _by_other_metric(
    results: Results, dataset: str, pair: tuple[str, str], kinds: dict[str, str]
) -> str:
    """Return who is most alike by the second of METRICS."""
    across = _across_families(results, dataset, METRICS[1])
    best = next((row for row in across if _kinds_of(row, kinds) == {"model"}), None)
    if best is None:
        return ""
    label, names = metric_label(METRICS[1]), (best["model_a"], best["model_b"])
    if names == pair:
        return f"They are so by {label}, too ({fixed(best['value'])})"
    own = results.alignments[dataset, METRICS[1], pair]["value"]
    these = "" if own is None else f"; these two have {fixed(own)}"
    return f"By {label}, {' and '.join(names)} are ({fixed(best['value'])}{these})"


def _kinds_of(row: Row, kinds: dict[str, str]) -> set[str]:
    return {kinds[row["model_a"]], kinds[row["model_b"]]}


def _but(near: Sequence[Row], best: Row, twin: Row | None) -> str:
    """Return ", but …": what else may be as much alike, nothing if nothing is."""
    found = [f"{plural(len(near), 'other pair')} may be as much alike"] if near else []
    if twin is not None and twin["value"] >= best["value"]:
        model = _in_pair(twin, (best["model_a"], best["model_b"]))
        found.append(f"{model} is at least as much like an untrained network")
    return f", but {', and '.join(found)}" if found else ""


def _in_pair(row: Row, pair: Iterable[str]) -> str:
    """Return the model of an alignment that is one of a pair."""
    return next(str(row[name]) for name in ("model_a", "model_b") if row[name] in pair)


def _numbers(row: Row) -> str:
    chance = ""
    if row["calibrated"] is not None:
        chance = (
            f"; systems paired at random give {fixed(row['null_mean'])} on average, and "
            f"above them it is {on_scale(row['calibrated'])}"
        )
    metric = metric_label(row["metric"])
    return f"{metric} is {_with_interval(row)}, over {row['n']:,} systems{chance}"


def _with_interval(row: Row) -> str:
    return fixed(row["value"]) + interval(row["low"], row["high"])


def _also(near: Sequence[Row]) -> str:
    """Return the pairs whose value lies within the interval of the first."""
    if not near:
        return ""
    named = [f"{row['model_a']} and {row['model_b']} ({fixed(row['value'])})" for row in near]
    return f"Within this interval, too: {first_of(named, _NAMED)}"


def _against(row: Row | None, pair: tuple[str, str]) -> str:
    """Return how much one of the pair is like the untrained network that is nearest to it."""
    if row is None:
        return ""
    model = _in_pair(row, pair)
    (twin,) = {row["model_a"], row["model_b"]} - {model}
    return f"With {twin}, whose weights are random, {model} has {_with_interval(row)}"


def _warning(row: Row) -> str:
    return f"Warning: {row['warning']}" if row["warning"] else ""
