"""What a store shows, in sentences, each made from the rows of a figure's statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from query.figures.drawing.labels import format_number
from query.report.views import DrawnSection, Version

Row = dict[str, Any]
Rows = Sequence[Row]
_NAMED = 6  # checks that a warning names


def find_sentences(drawn: Sequence[DrawnSection]) -> dict[str, list[str]]:
    """Return sentences about the figures, from the version that the page shows first.

    Args:
        drawn: The sections of the page.

    Returns:
        By dataset, a sentence or two per section that has something to say.
    """
    found: dict[str, list[str]] = {}
    for section in drawn:
        make = _SENTENCES.get(section.section.name, _nothing)
        for version, rows in _first_versions(section):
            found.setdefault(_dataset(version), []).extend(make(rows))
    return {dataset: sentences for dataset, sentences in found.items() if sentences}


def failed_controls(drawn: Sequence[DrawnSection]) -> list[str]:
    """Return a warning for each dataset on which a control does not give what it must.

    Args:
        drawn: The sections of the page.

    Returns:
        The warnings, none if all controls hold.
    """
    sections = [section for section in drawn if section.section.name == "control_alignment"]
    warnings = []
    for section in sections:
        for version, rows in _first_versions(section):
            failed = [f"{row['control']} ({row['metric']})" for row in rows if not row["holds"]]
            if failed:
                names = ", ".join(failed[:_NAMED]) + (", …" if len(failed) > _NAMED else "")
                warnings.append(
                    f"On {_dataset(version)}, {len(failed)} of {len(rows)} checks of controls "
                    f"fail. Do not trust the figures below before you know why: {names}."
                )
    return warnings


def _first_versions(section: DrawnSection) -> Iterator[tuple[Version, Rows]]:
    """Yield the first version of each dataset, with its rows."""
    seen = set()
    for version, answer in section.answers():
        if _dataset(version) not in seen:
            seen.add(_dataset(version))
            yield version, answer.rows


def _dataset(version: Version) -> str:
    """Return the first switch, which is the dataset, or a pair of them."""
    return next(iter(version.switches.values()))


def _nothing(rows: Rows) -> Iterator[str]:
    yield from ()


def _control_alignment(rows: Rows) -> Iterator[str]:
    # If a check fails, `failed_controls` warns about it.
    if rows and all(row["holds"] for row in rows):
        metrics = len({row["metric"] for row in rows})
        yield f"All {len(rows)} checks hold: {len(rows) // metrics} controls, {metrics} metrics."


def _alignment_matrix(rows: Rows) -> Iterator[str]:
    pairs = [
        row for row in rows if row["place_a"] < row["place_b"] and row["calibrated"] is not None
    ]
    cross = [row for row in pairs if row["family_a"] != row["family_b"]]
    for which, some in (("Of all pairs", pairs), ("Of cross-family pairs", cross)):
        if some:
            best = max(some, key=lambda row: float(row["calibrated"]))
            value, calibrated = format_number(best["value"]), format_number(best["calibrated"])
            yield (
                f"{which}, {best['model_a']} and {best['model_b']} are the most alike: "
                f"{best['metric']} {value}, calibrated {calibrated}, n = {best['n']}."
            )


def _convergence(rows: Rows) -> Iterator[str]:
    found = []
    for relation, words in (("all", "over all models"), ("cross-family", "without its own family")):
        some = [row for row in rows if row["relation"] == relation and row["spearman"] is not None]
        if some:
            row = some[0]
            low, high = row["spearman_low"], row["spearman_high"]
            interval = "" if low is None else f", 95 % interval {_range(low, high)}"
            p = format_number(row["spearman_p"], 2)
            found.append(
                f"{format_number(row['spearman'], 2)} {words} "
                f"(p = {p}{interval}, {row['n_models']} models)"
            )
    if found:
        about = f"{rows[0]['score']} with alignment to {rows[0]['reference']}"
        yield f"The rank correlation of {about} is {'; '.join(found)}."


def _alignment_across_datasets(rows: Rows) -> Iterator[str]:
    for metric in dict.fromkeys(row["metric"] for row in rows):
        pairs = [
            row
            for row in rows
            if row["metric"] == metric and None not in (row["on_a"], row["on_b"])
        ]
        if pairs:
            first, second = (
                format_number(fmean(row[on] for row in pairs)) for on in ("on_a", "on_b")
            )
            yield (
                f"The mean {metric} of {len(pairs)} pairs is {first} on the first dataset and "
                f"{second} on the second."
            )


def _dimensions(rows: Rows) -> Iterator[str]:
    known = [row for row in rows if row["kind"] == "model" and row["value"] is not None]
    if known:
        ends = [choose(known, key=lambda row: float(row["value"])) for choose in (min, max)]
        low, high = (f"{format_number(row['value'], 2)} ({row['model_id']})" for row in ends)
        yield f"The intrinsic dimension of trained models lies between {low} and {high}."


def _kinship(rows: Rows) -> Iterator[str]:
    by_relation = {row["relation"]: row for row in rows if row["mean"] is not None}
    found = []
    for relation, row in by_relation.items():
        p = "" if row["p_value"] is None else f", p = {format_number(row['p_value'], 2)}"
        words = _RELATIONS.get(relation, relation)
        found.append(f"{format_number(row['mean'])} for {words} ({row['n_pairs']} pairs{p})")
    if found:
        metric = next(iter(by_relation.values()))["metric"]
        yield f"The mean {metric} of two models is {'; '.join(found)}."


# Of two models, as the end of "0.6 for …".
_RELATIONS = {
    "same-family": "the same family",
    "same-training-data": "the same training data",
    "neither": "neither in common",
    "unknown-training-data": "unknown training data",
}


def _training_effect(rows: Rows) -> Iterator[str]:
    """Count pairs as gained that gained more than any of their twins' pairs would explain."""
    found = [r for r in rows if r["gained"] is not None and r["family_a"] != r["family_b"]]
    if found:
        spread = [row["gained_low"] for row in found]
        least = [
            row["gained"] if low is None else low for row, low in zip(found, spread, strict=True)
        ]
        more = f"{sum(value > 0 for value in least)} of {len(found)} cross-family pairs"
        twins = (
            "their untrained twins"
            if spread == [None] * len(found)
            else "any of their untrained twins"
        )
        yield f"{more} are more alike than {twins}."


def _energy_errors(rows: Rows) -> Iterator[str]:
    known = [row for row in rows if row["mae"] is not None]
    if known:
        best = min(known, key=lambda row: float(row["mae"]))
        low, high = best["low"], best["high"]
        interval = "" if low is None else f" (95 % interval {_range(low, high)})"
        yield (
            f"With composition taken out, {best['model_id']} is nearest to {best['property']} of "
            f"{best['source']}: its mean absolute error is {format_number(best['mae'])} eV"
            f"{interval}, n = {best['n']}."
        )


def _range(low: float, high: float) -> str:
    return f"{format_number(low, 2)} to {format_number(high, 2)}"


# By the name of the figure; of the others there is nothing to say in a sentence.
_SENTENCES: dict[str, Callable[[Rows], Iterator[str]]] = {
    "control_alignment": _control_alignment,
    "alignment_matrix": _alignment_matrix,
    "convergence": _convergence,
    "alignment_across_datasets": _alignment_across_datasets,
    "dimensions": _dimensions,
    "kinship": _kinship,
    "training_effect": _training_effect,
    "energy_errors": _energy_errors,
}
