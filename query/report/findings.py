"""What a store says, in sentences: each is made from the rows of a figure's statement, none is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from query.figures.drawing.labels import format_number
from query.report.views import DrawnSection, Version

Row = dict[str, Any]
Rows = Sequence[Row]
NAMED = 6  # checks that a warning names


def find_sentences(drawn: Sequence[DrawnSection]) -> dict[str, list[str]]:
    """By dataset, a sentence or two of each section, from the version that the page shows first."""
    said: dict[str, list[str]] = {}
    for section in drawn:
        make = SENTENCES.get(section.section.name, _nothing)
        for version, rows in _first(section):
            said.setdefault(_on(version), []).extend(make(rows))
    return {on: sentences for on, sentences in said.items() if sentences}


def failed_controls(drawn: Sequence[DrawnSection]) -> list[str]:
    """A warning for each dataset on which a control does not give what it must."""
    found = []
    for section in drawn:
        for version, rows in _first(section) if section.section.name == "control_alignment" else ():
            failed = [f"{row['control']} ({row['metric']})" for row in rows if not row["holds"]]
            if failed:
                names = ", ".join(failed[:NAMED]) + (", …" if len(failed) > NAMED else "")
                found.append(
                    f"On {_on(version)}, {len(failed)} of {len(rows)} checks of controls fail, so do not believe what "
                    f"is below before you know why: {names}."
                )
    return found


def _first(section: DrawnSection) -> Iterator[tuple[Version, Rows]]:
    """Of each dataset, the first version and its rows."""
    seen = set()
    for version, answer in section.answers():
        if _on(version) not in seen:
            seen.add(_on(version))
            yield version, answer.rows


def _on(version: Version) -> str:
    return next(iter(version.switches.values()))


def _nothing(rows: Rows) -> Iterator[str]:
    """Of some figures no sentence is to be had."""
    yield from ()


def _control_alignment(rows: Rows) -> Iterator[str]:
    """What fails is a warning, see above."""
    if rows and all(row["holds"] for row in rows):
        metrics = len({row["metric"] for row in rows})
        yield f"All {len(rows)} checks hold: {len(rows) // metrics} controls, {metrics} metrics."


def _alignment_matrix(rows: Rows) -> Iterator[str]:
    pairs = [
        row for row in rows if row["place_a"] < row["place_b"] and row["calibrated"] is not None
    ]
    apart = [row for row in pairs if row["family_a"] != row["family_b"]]
    for which, some in (("Of all pairs", pairs), ("Of pairs from different families", apart)):
        if some:
            best = max(some, key=lambda row: float(row["calibrated"]))
            yield (
                f"{which}, {best['model_a']} and {best['model_b']} are the most alike: {best['metric']} "
                f"{format_number(best['value'])}, calibrated {format_number(best['calibrated'])}, n = {best['n']}."
            )


def _convergence(rows: Rows) -> Iterator[str]:
    said = []
    for relation, words in (("all", "over all models"), ("cross-family", "without its own family")):
        row = next(
            (row for row in rows if row["relation"] == relation and row["spearman"] is not None),
            None,
        )
        if row is not None:
            interval = (
                ""
                if row["spearman_low"] is None
                else f", 95 % {_range(row['spearman_low'], row['spearman_high'])}"
            )
            p = format_number(row["spearman_p"], 2)
            said.append(
                f"{format_number(row['spearman'], 2)} {words} (p = {p}{interval}, {row['n_models']} models)"
            )
    if said:
        about = f"{rows[0]['score']} with alignment to {rows[0]['reference']}"
        yield f"The rank correlation of {about} is {'; '.join(said)}."


def _alignment_across_datasets(rows: Rows) -> Iterator[str]:
    for metric in dict.fromkeys(row["metric"] for row in rows):
        pairs = [
            row
            for row in rows
            if row["metric"] == metric and None not in (row["on_a"], row["on_b"])
        ]
        if pairs:
            means = [format_number(fmean(row[on] for row in pairs)) for on in ("on_a", "on_b")]
            yield f"The mean {metric} of {len(pairs)} pairs is {means[0]} on the first, {means[1]} on the second."


def _dimensions(rows: Rows) -> Iterator[str]:
    known = [row for row in rows if row["kind"] == "model" and row["value"] is not None]
    if known:
        ends = [choose(known, key=lambda row: float(row["value"])) for choose in (min, max)]
        low, high = (f"{format_number(row['value'], 2)} ({row['model_id']})" for row in ends)
        yield f"The intrinsic dimension of trained models lies between {low} and {high}."


def _kinship(rows: Rows) -> Iterator[str]:
    found = {row["relation"]: row for row in rows if row["mean"] is not None}
    said = []
    for relation, row in found.items():
        p = "" if row["p_value"] is None else f", p = {format_number(row['p_value'], 2)}"
        said.append(f"{format_number(row['mean'])} for {relation} ({row['n_pairs']} pairs{p})")
    if said:
        yield f"The mean {next(iter(found.values()))['metric']} of two models is {'; '.join(said)}."


def _training_effect(rows: Rows) -> Iterator[str]:
    gained = [
        row["gained"]
        for row in rows
        if row["gained"] is not None and row["family_a"] != row["family_b"]
    ]
    if gained:
        more = sum(value > 0 for value in gained)
        yield f"{more} of {len(gained)} pairs from different families are more alike than their untrained twins."


def _energy_errors(rows: Rows) -> Iterator[str]:
    best = min(
        (row for row in rows if row["mae"] is not None),
        key=lambda row: float(row["mae"]),
        default=None,
    )
    if best is not None:
        interval = "" if best["low"] is None else f" (95 % {_range(best['low'], best['high'])})"
        yield (
            f"Composition taken out, {best['model_id']} is nearest to {best['property']} of {best['source']}: mean "
            f"absolute error {format_number(best['mae'])} eV{interval}, n = {best['n']}."
        )


def _range(low: float, high: float) -> str:
    return f"{format_number(low, 2)} to {format_number(high, 2)}"


SENTENCES: dict[str, Callable[[Rows], Iterator[str]]] = {
    "control_alignment": _control_alignment,
    "alignment_matrix": _alignment_matrix,
    "convergence": _convergence,
    "alignment_across_datasets": _alignment_across_datasets,
    "dimensions": _dimensions,
    "kinship": _kinship,
    "training_effect": _training_effect,
    "energy_errors": _energy_errors,
}
