"""Sentences on labels and training: what energies, probes and exposure show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from query.figures.drawing.labels import format_number, format_range, property_label
from query.figures.records.energy_errors import describe_outliers
from zoo.terminal import plural

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
    outliers = "".join(f" {sentence}" for sentence in describe_outliers(rows))
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


def probe_findings(rows: Sequence[Row]) -> Iterator[str]:
    """Count the models whose vectors tell more of a label than the best baseline."""
    found = [r for r in rows if r["kind"] == "model" and r["difference_low"] is not None]
    if found:
        better = sum(row["difference_low"] > 0 for row in found)
        yield (
            f"The vectors of {better} of {len(found)} models tell more of "
            f"{property_label(found[0]['property'])} than the best baseline, beyond the interval "
            f"of the difference. {_most_telling(found)}"
        )


def _most_telling(rows: Sequence[Row]) -> str:
    """Return which model tells the most, or which comes nearest to a baseline that none beats."""
    above = [row for row in rows if row["difference"] > 0]
    score = _SCORES[rows[0]["score"]]
    if above:
        best = max(above, key=lambda row: float(row["value"]))
        other = format_number(best["value"] - best["difference"])
        return (
            f"Those of {best['model_id']} tell the most: {score} {format_number(best['value'])} "
            f"({best['best_baseline']}: {other}, n = {best['n']})."
        )
    near = max(rows, key=lambda row: float(row["difference"]))
    return (
        f"None has a higher {score} than it; {near['model_id']} comes nearest: "
        f"{format_number(near['value'])}, {format_number(-near['difference'], 2)} below "
        f"{near['best_baseline']}, n = {near['n']}."
    )


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
    listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return f" Within this interval, too: {listed}; nothing decides between them."
