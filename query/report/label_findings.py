"""Sentences on labels and training: what energies, probes and exposure show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from query.figures.drawing.labels import (
    format_counts,
    format_fixed,
    format_number,
    format_range,
    property_label,
)
from query.figures.records.energy_errors import describe_outliers, median_errors
from zoo.terminal import first_of, plural

Row = dict[str, Any]
_NAMED = 6  # models that a sentence names
_SCORES = {"r2": "R²", "auc": "AUC"}


def energy_findings(rows: Sequence[Row]) -> Iterator[str]:
    """Name the model of the smallest error per atom, and those that it cannot be told from."""
    by_model = {row["model_id"]: row for row in rows if row["mae_per_atom"] is not None}
    if not by_model:
        return
    best = min(by_model.values(), key=lambda row: float(row["mae_per_atom"]))
    low, high = best["low_per_atom"], best["high_per_atom"]
    interval = "" if low is None else f" (95 % interval {format_range(low, high)})"
    n, every = best["n"], sum(row["model_id"] == best["model_id"] for row in rows)
    of = f" of {every:,} systems" if every > n else ""
    found = f"{format_number(best['mae_per_atom'])} eV/atom{interval}, n = {n:,}{of}"
    outliers = _by_median(best, rows) + "".join(f" {said}" for said in describe_outliers(rows))
    if best["compared_with"] == "labels":
        label = f"{property_label(best['property'])} of {best['source']}"
        yield (
            f"With composition taken out, {best['model_id']} is nearest to the {label}: its mean "
            f"absolute error is {found}.{_undecided(best, by_model.values())}{outliers}"
        )
        return
    because = f": {best['source_reason']}" if best["source_reason"] else ""
    yield (
        f"There are no labels of energies, only predictions; {best['source']} stands for "
        f"them{because}. With composition taken out, {best['model_id']} differs least from it: "
        f"by {found}.{_undecided(best, by_model.values())}{outliers}"
    )


def _by_median(best: Row, rows: Sequence[Row]) -> str:
    """Return which model has the smallest median error, if it is not that of the smallest mean."""
    medians = median_errors(rows)
    if best["model_id"] not in medians:
        return ""
    least = min(medians, key=lambda model: medians[model])
    if medians[least] == medians[best["model_id"]]:
        return ""
    low, high = (format_number(medians[model]) for model in (least, best["model_id"]))
    return f" By the median over systems, it would be {least}: {low} against {high} eV/atom."


def probe_findings(rows: Sequence[Row]) -> Iterator[str]:
    """Count the models whose vectors tell more of a label than the best baseline."""
    found = [r for r in rows if r["kind"] == "model" and r["difference_low"] is not None]
    if found:
        better = sum(row["difference_low"] > 0 for row in found)
        yield (
            f"The vectors of {better} of {len(found)} models tell more of "
            f"{property_label(found[0]['property'])} than the best baseline, beyond the interval "
            f"of the difference. {_most_telling(found)}{_untrained_ahead(rows)}"
        )


def _most_telling(rows: Sequence[Row]) -> str:
    """Return which model tells the most, or which comes nearest to a baseline that none beats."""
    above = [row for row in rows if row["difference"] > 0]
    score = _SCORES[rows[0]["score"]]
    if above:
        best = max(above, key=lambda row: float(row["value"]))
        other = format_number(best["value"] - best["difference"])
        return (
            f"Those of {best['model_id']} tell the most: {score} {_with_interval(best)}, "
            f"{best['best_baseline']} {other}, n = {best['n']}."
        )
    near = max(rows, key=lambda row: float(row["difference"]))
    return (
        f"None has a higher {score} than it; {near['model_id']} comes nearest: "
        f"{_with_interval(near)}, {format_number(-near['difference'], 2)} below "
        f"{near['best_baseline']}, n = {near['n']}."
    )


def _with_interval(row: Row) -> str:
    value = format_number(row["value"])
    if row["low"] is None:
        return value
    return f"{value} (95 % interval {format_range(row['low'], row['high'])})"


def _untrained_ahead(rows: Sequence[Row]) -> str:
    """Return a sentence on the models of which an untrained twin tells more than they do."""
    models = {row["row_of"]: row for row in rows if row["kind"] == "model"}
    ahead = [
        f"{row['model_id']} ({format_number(row['value'])} against {format_number(own['value'])})"
        for row in rows
        if row["kind"] == "twin" and (own := models.get(row["row_of"])) and _is_above(row, own)
    ]
    if not ahead:
        return ""
    verb = "tells" if len(ahead) == 1 else "tell"
    return f" Without any training, {first_of(ahead, _NAMED)} {verb} more than the trained model."


def _is_above(row: Row, other: Row) -> bool:
    """Return whether a score is above another by more than the intervals of both leave open."""
    return bool(row["low"] is not None and other["high"] is not None and row["low"] > other["high"])


def novelty_error_findings(rows: Sequence[Row]) -> Iterator[str]:
    """Name the models that err more on what is novel to them, those that err less, and the rest."""
    known = [row for row in rows if row["low"] is not None]
    if not known:
        return
    signs = {
        ("errs more on what is novel to it", "err more on what is novel to them"): [
            row for row in known if row["low"] > 0
        ],
        ("errs less on what is novel to it", "err less on what is novel to them"): [
            row for row in known if row["high"] < 0
        ],
        ("does neither beyond the interval", "do neither beyond the interval"): [
            row for row in known if row["low"] <= 0 <= row["high"]
        ],
    }
    some = [
        f"{_correlations(found)} {one if len(found) == 1 else several}"
        for (one, several), found in signs.items()
        if found
    ]
    of = f"n = {format_counts({row['n'] for row in known})}"
    yield f"Of {plural(len(known), 'model')} (rank correlation, {of}): {'; '.join(some)}."


def _correlations(rows: Sequence[Row]) -> str:
    """Return 'a (0.42, 0.31 to 0.52), b (…) …'."""
    named = [
        f"{row['model_id']} ({format_number(row['spearman'], 2)}, "
        f"{format_range(row['low'], row['high'])})"
        for row in rows
    ]
    return first_of(named, _NAMED)


def largest_change(rows: Sequence[Row]) -> str:
    """Return a sentence on the pair that training changed most, if there are several.

    Args:
        rows: Pairs of models with `gained`.
    """
    if len(rows) == 1:
        return ""
    row = max(rows, key=lambda row: abs(float(row["gained"])))
    value, twins = (format_number(row[name]) for name in ("value", "twins_value"))
    gain = format_fixed(row["gained"], 2, sign=True)
    pair = f"{row['model_a']} and {row['model_b']} have {value}"
    return f" The largest change is {gain}: {pair}, their untrained twins {twins}."


def exposure_findings(rows: Sequence[Row]) -> Iterator[str]:
    """Count the models that have seen the dataset, may have, cannot, or of which nobody tells."""
    answers = [row["exposure"] for row in rows]
    some = [f"{answers.count(key)} {words}" for key, words in _EXPOSED.items() if key in answers]
    yield f"Of {plural(len(rows), 'trained model')}: {'; '.join(some)}."


_EXPOSED = {
    "same-set": "trained on the set that these systems are taken from",
    "may-overlap": "trained on sets that have a source in common with these systems",
    "not-compared": "may have seen these systems (sets of the same kind of matter, and no record "
    "of whether they overlap)",
    "unknown": "of unknown training data",
    "held-out": "trained on the set, but not on this part of it",
    "other-matter": "trained on other kinds of data only, such as text or other matter",
    "untrained": "trained on nothing",
}


def _undecided(best: Row, rows: Iterable[Row]) -> str:
    """Return a sentence on the models whose errors lie within the interval of the best one's."""
    least, high = best["mae_per_atom"], best["high_per_atom"]
    names = [row["model_id"] for row in rows if high and least < row["mae_per_atom"] <= high]
    if not names:
        return ""
    listed = first_of(names, _NAMED)
    return f" Within this interval, too: {listed}; nothing decides between them."
