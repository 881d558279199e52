"""What the page of a pair says first, in sentences: how alike two models are on each dataset."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from query.figures.drawing.labels import metric_label
from query.figures.drawing.model_kinds import KINDS
from query.site.results import METRICS, Results, unlikeness
from query.site.words import fixed, interval, on_scale, ordinal, p_equals, pair_of

Row = dict[str, Any]
_ORDER = {kind: place for place, kind in enumerate(KINDS)}
_LEVEL = 0.05  # of p, above which random pairings of the systems are as alike too often
_Class = tuple[str, str, tuple[str, str]]  # dataset, metric, and both models' kinds


@dataclass(frozen=True)
class Answer:
    """What is said of a pair on a dataset.

    Attributes:
        dataset: The dataset.
        verdict: Whether they are alike there, without a subject: "are more alike than by chance".
        details: The numbers of this, a part of the sentence.
    """

    dataset: str
    verdict: str
    details: str


class Answers:
    """Says how alike pairs of models are, and which place that is among pairs of such models."""

    def __init__(self, results: Results) -> None:
        """Sort the values of all pairs.

        Args:
            results: What the site shows.
        """
        self._models = results.models
        self._values: dict[_Class, list[tuple[bool, float, float]]] = defaultdict(list)
        for row in results.alignments.values():
            if row["model_a"] != row["model_b"] and row["value"] is not None:
                insort(self._values[self._class(row)], unlikeness(row))

    def on_each_dataset(
        self, rows: list[Row], of_twins: Mapping[tuple[str, str], list[Row]] | None = None
    ) -> list[Answer]:
        """Return what is said of a pair, a sentence per dataset.

        Args:
            rows: All its alignments.
            of_twins: By dataset and metric, those of untrained twins in place of its models.
        """
        by_dataset: dict[str, dict[str, Row]] = defaultdict(dict)
        for row in rows:
            by_dataset[row["dataset"]][row["metric"]] = row
        return [self._answer(name, found, of_twins or {}) for name, found in by_dataset.items()]

    def _answer(
        self, dataset: str, found: dict[str, Row], of_twins: Mapping[tuple[str, str], list[Row]]
    ) -> Answer:
        first, *others = (found[metric] for metric in METRICS if metric in found)
        if first["value"] is None:
            name = metric_label(first["metric"])
            reason = f"{name} is undefined ({first['reason']})"
            return Answer(dataset, "cannot be compared", "; ".join([reason, *self._more(others)]))
        details = (
            f"{_value(first)}{interval(first['low'], first['high'])}{_chance(first)}{_p(first)}, "
        )
        details += f"over {first['n']:,} systems{self._place(first)}{_warning(first)}"
        but, beside = _beside_twins(first, of_twins.get((dataset, first["metric"]), []))
        return Answer(
            dataset, _verdict(first) + but, "; ".join([details, *beside, *self._more(others)])
        )

    def _more(self, rows: list[Row]) -> list[str]:
        return [
            f"{_value(row)}{_p(row)}{self._place(row, short=True)}"
            for row in rows
            if row["value"] is not None
        ]

    def _class(self, row: Row) -> _Class:
        kinds = [self._models[row[name]]["kind"] for name in ("model_a", "model_b")]
        first, second = sorted(kinds, key=lambda kind: _ORDER[kind])
        return row["dataset"], row["metric"], (first, second)

    def _place(self, row: Row, short: bool = False) -> str:
        """Return ", the 3rd most alike of 10 pairs of trained models", nothing of a control."""
        of_class = self._class(row)
        kinds = of_class[-1]
        values = self._values[of_class]
        if "control" in kinds or len(values) < 2:
            return ""
        place = 1 + bisect_left(values, unlikeness(row))
        most = "most alike" if place == 1 else f"{ordinal(place)} most alike"
        if short:
            return f", the {most}"
        return f", the {most} of {len(values):,} pairs of {pair_of(*kinds)}"


def _verdict(row: Row) -> str:
    if row["p_value"] is None:
        return "are alike by this much, of which nobody knows what chance would give"
    if row["p_value"] > _LEVEL:
        return "are no more alike than by chance"
    return "see the same" if fixed(row["value"]) == "1.000" else "are more alike than by chance"


def _beside_twins(row: Row, of_twins: list[Row]) -> tuple[str, list[str]]:
    """Return ", but …" if untrained networks in their place are as alike, and how much they are."""
    known = [twin for twin in of_twins if twin["value"] is not None]
    if not known:
        return "", []
    most = max(known, key=lambda twin: float(twin["value"]))
    is_as_high = most["value"] >= row["value"]
    but = ", but no more than with untrained networks in their place" if is_as_high else ""
    names = f"{most['model_a']} and {most['model_b']}"
    return but, [f"with untrained twins it is at most {fixed(most['value'])} ({names})"]


def _value(row: Row) -> str:
    return f"{metric_label(row['metric'])} is {fixed(row['value'])}"


def _chance(row: Row) -> str:
    if row["p_value"] is None:
        return ""
    above = "" if row["calibrated"] is None else f", {on_scale(row['calibrated'])}"
    return f"{above}, where systems paired at random give {fixed(row['null_mean'])}"


def _p(row: Row) -> str:
    return "" if row["p_value"] is None else f" ({p_equals(row['p_value'])})"


def _warning(row: Row) -> str:
    return f" (warning: {row['warning']})" if row["warning"] else ""
