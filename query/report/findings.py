"""What a store shows, in sentences, each made from the rows of a figure's statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from query.figures.drawing.labels import (
    format_counts,
    format_fixed,
    format_number,
    format_p,
    format_range,
    metric_label,
    score_phrase,
)
from query.metrics import find_metric
from query.report.label_findings import (
    energy_findings,
    exposure_findings,
    largest_change,
    novelty_error_findings,
    probe_findings,
)
from query.report.views import DrawnSection, View
from query.tables.shared.scores import ERROR_NAME
from zoo.terminal import first_of, plural

Row = dict[str, Any]
Rows = Sequence[Row]
_NAMED = 6  # checks or models that a sentence names
_SEEN = "models and descriptors"  # what a figure compares if none are named
_CONTROLS = "control_alignment"  # the section of checks
_VIEWS = {"probe": 3}  # versions per dataset that have sentences, where it is not only the first
# See `p_least`.
_DOUBT = (
    "Even where all is well, 1 dataset in 20 has such a check by chance; “matterzoo query "
    "control_alignment {} permutations=9999” computes its p more precisely. "
)
_MODELS = {"all": "over all models", "cross-family": "without its own family"}


class Finding(NamedTuple):
    """A sentence about a figure.

    Attributes:
        section: The name of the section that has the figure.
        text: The sentence.
        view: The name of the version of the figure.
    """

    section: str
    text: str
    view: str


def find_sentences(drawn: Sequence[DrawnSection]) -> dict[str, list[Finding]]:
    """Return sentences about the figures, from the version that the page shows first.

    Args:
        drawn: The sections of the page.

    Returns:
        By dataset, a sentence or two per section that has something to say; on what can be read
        from the vectors, one per property.
    """
    found: dict[str, list[Finding]] = {}
    for section in drawn:
        make = _SENTENCES.get(section.section.name, _nothing)
        for view, rows in _first_views(section, _VIEWS.get(section.section.name, 1)):
            sentences = [Finding(section.section.name, text, view.name) for text in make(rows)]
            found.setdefault(_dataset(view), []).extend(sentences)
    return {dataset: sentences for dataset, sentences in found.items() if sentences}


def failed_controls(drawn: Sequence[DrawnSection]) -> list[Finding]:
    """Return a warning for each dataset on which a control does not give what it must.

    Args:
        drawn: The sections of the page.

    Returns:
        The warnings, none if all controls hold.
    """
    warnings = []
    for section in drawn:
        if section.section.name == _CONTROLS:
            for view, rows in _first_views(section, 1):
                texts = _alarm(_dataset(view), rows)
                warnings += [Finding(_CONTROLS, text, view.name) for text in texts]
    return warnings


def _alarm(dataset: str, rows: Rows) -> Iterator[str]:
    failed = [row for row in rows if not row["holds"]]
    if failed:
        names = "; ".join(map(_failure, failed[:_NAMED])) + ("; …" if len(failed) > _NAMED else "")
        verb = "fails" if len(failed) == 1 else "fail"
        first = failed[0]
        doubt = _DOUBT.format(dataset)
        lone = len(failed) == 1 and first["expected"] == "chance" and first["value"] is not None
        yield (
            f"On {dataset}, {len(failed)} of {len(rows)} checks of controls {verb}: {names}. "
            f"{doubt if lone else ''}Find out why before you trust the figures below."
        )


def _failure(row: Row) -> str:
    """Return a check with its value and what it must be."""
    check = f"{row['control']} ({metric_label(row['metric'])})"
    if row["value"] is None:
        return f"{check} is undefined"
    value = f"{check} gives {format_number(row['value'])}"
    if row["expected"] == "undefined":
        return f"{value}, expected none"
    if row["expected"] == "same":
        return f"{value}, expected {format_number(row['itself'])}"
    low, high = (format_number(row[name]) for name in ("chance_low", "chance_high"))
    p, least = format_number(row["p_two_sided"], 2), format_number(row["p_least"], 2)
    return f"{value}, expected chance, {low} to {high} (p = {p}, the limit is {least})"


def _first_views(section: DrawnSection, most: int) -> Iterator[tuple[View, Rows]]:
    """Yield the first versions of each dataset that have a figure, with their rows."""
    seen: Counter[str] = Counter()
    for view in section.views():
        if view.image is not None and seen[_dataset(view)] < most:
            seen[_dataset(view)] += 1
            yield view, view.image.answer.rows


def _dataset(view: View) -> str:
    """Return the first switch, which is the dataset, or a pair of them."""
    return next(iter(view.version.switches.values()))


def _nothing(rows: Rows) -> Iterator[str]:
    yield from ()


def _control_alignment(rows: Rows) -> Iterator[str]:
    holding = sum(row["holds"] for row in rows)
    if rows:
        metrics = len({row["metric"] for row in rows})
        of = plural(len(rows) // metrics, "control"), plural(metrics, "metric")
        every = f"All {holding}" if holding == len(rows) else f"{holding} of {len(rows)}"
        yield f"{every} checks of controls hold: {', '.join(of)}."


def _alignment_matrix(rows: Rows) -> Iterator[str]:
    pairs = [r for r in rows if r["place_a"] < r["place_b"] and r["calibrated"] is not None]
    cross = [row for row in pairs if row["family_a"] != row["family_b"]]
    said, sizes = None, {row["n"] for row in pairs}
    shared = f" (pairs share {format_counts(sizes)} systems, on which values depend)"
    care = shared if len(sizes) > 1 else ""
    for which, some in ((f"Of all pairs of {_SEEN}", pairs), ("Of pairs from two families", cross)):
        best = max(some, key=lambda row: float(row["calibrated"]), default=None)
        if best is not None and best is not said:
            said = best
            value, calibrated = format_number(best["value"]), format_number(best["calibrated"])
            yield (
                f"{which}, {best['model_a']} and {best['model_b']} are the most alike: "
                f"{metric_label(best['metric'])} {value}, calibrated {calibrated}, "
                f"n = {best['n']:,}{care}."
            )
            care = ""


def _convergence(rows: Rows) -> Iterator[str]:
    """Say whether better models are more like the reference, or that nobody can tell."""
    first = {relation: row for row in reversed(rows) if (relation := row["relation"])}
    found = [
        f"{_correlation(first[relation])} {words}"
        for relation, words in _MODELS.items()
        if relation in first and first[relation]["spearman"] is not None
    ]
    if found:
        row = first.get("all", rows[0])
        score = score_phrase(row["score"])
        yield (
            f"{_verdict(row)}. The rank correlation of {score} with alignment to "
            f"{row['reference']} is {'; '.join(found)}."
        )


def _correlation(row: Row) -> str:
    """Return a rank correlation with what it takes to believe it."""
    rho = format_number(row["spearman"], 2)
    if row["warning"]:
        return f"{rho} ({row['n_models']} models, too few to conclude)"
    low, high = row["spearman_low"], row["spearman_high"]
    interval = "" if low is None else f", 95 % interval {format_range(low, high)}"
    return f"{rho} ({format_p(row['spearman_p'])}{interval}, {row['n_models']} models)"


def _verdict(row: Row) -> str:
    """Return whether better models are more like the reference, as a sentence."""
    low, high = row["spearman_low"], row["spearman_high"]
    like = f"like {row['reference']}"
    if row["warning"] or low is None or low <= 0 <= high:
        return f"Nothing here decides whether better models are more {like}"
    if not ERROR_NAME.search(row["score"]):  # then a low score may be bad
        return f"The score of models goes with how much they are {like}"
    closer = (row["spearman"] < 0) != find_metric(row["metric"]).lower_is_closer
    return f"Better models are {'more' if closer else 'less'} {like}"


def _alignment_across_datasets(rows: Rows) -> Iterator[str]:
    defined = [row for row in rows if None not in (row["on_a"], row["on_b"])]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        pairs = [row for row in defined if row["metric"] == metric]
        if pairs:
            means = [format_number(fmean(row[on] for row in pairs)) for on in ("on_a", "on_b")]
            where = f"{means[0]} on {pairs[0]['dataset_a']} and {means[1]} on"
            of = f"{metric_label(metric)} of {plural(len(pairs), 'pair')} of {_SEEN}"
            n = f"n = {pairs[0]['n_a']:,} of each"
            yield f"The mean {of} is {where} {pairs[0]['dataset_b']} ({n})."


def _dimensions(rows: Rows) -> Iterator[str]:
    known = [row for row in rows if row["kind"] == "model" and row["value"] is not None]
    if known:
        ends = [choose(known, key=lambda row: float(row["value"])) for choose in (min, max)]
        low, high = (f"{format_number(row['value'])} ({row['model_id']})" for row in ends)
        one, other = low.split()[0], high.split()[0]
        where = f"is {one} throughout" if one == other else f"lies between {low} and {high}"
        yield f"The intrinsic dimension of trained models {where}."


def _kinship(rows: Rows) -> Iterator[str]:
    by_relation = {row["relation"]: row for row in rows if row["mean"] is not None}
    found = []
    for relation, row in by_relation.items():
        p = "" if row["p_value"] is None else f", {format_p(row['p_value'], row['p_least'])}"
        words = _RELATIONS.get(relation, relation)
        n = plural(row["n_pairs"], "pair") + _in_common(row)
        found.append(f"{format_number(row['mean'])} for {words} ({n}{p})")
    if found:
        metric = next(iter(by_relation.values()))["metric"]
        sizes = {row["n"] for row in rows if row["value"] is not None}
        care = ", on which values depend" if len(sizes) > 1 else ""
        yield (
            f"The mean {metric_label(metric)} of two models is {'; '.join(found)}. "
            f"Pairs share {format_counts(sizes)} systems{care}."
        )


def _in_common(row: Row) -> str:
    """Return which model all pairs of a relation share, and which two are one network."""
    common, same = row["common_model"], row["one_network"]
    words = f", all of {common} with another model" if common else ""
    return words + (f", where one network counts as two: {first_of(same, _NAMED)}" if same else "")


# Of two models, as the end of "0.6 for …".
_RELATIONS = {
    "same-family": "the same family",
    "same-training-data": "the same training data",
    "neither": "neither in common",
    "unknown-training-data": "unknown training data",
}


def _training_effect(rows: Rows) -> Iterator[str]:
    """Count pairs as gained that gained more than any of their twins' pairs would explain."""
    known = [row for row in rows if row["gained"] is not None]
    for kind in ("cross-family", "same-family"):
        found = [r for r in known if (r["family_a"] == r["family_b"]) == (kind == "same-family")]
        if found:
            spread = [row["gained_low"] for row in found]
            count = sum(
                (r["gained"] if r["gained_low"] is None else r["gained_low"]) > 0 for r in found
            )
            more = f"{count:,} {'is' if count == 1 else 'are'} more alike"
            twins = "these twins" if spread == [None] * len(found) else "any of these twins"
            every = f"{plural(len(found), f'{kind} pair')} with untrained twins"
            middle = format_fixed(median(row["gained"] for row in found), 2, sign=True)
            most = largest_change(found)
            yield f"Of {every}, {more} than {twins}; the median gain is {middle}.{most}"


# By the name of the figure; of the others there is nothing to say in a sentence.
_SENTENCES: dict[str, Callable[[Rows], Iterator[str]]] = {
    _CONTROLS: _control_alignment,
    "alignment_matrix": _alignment_matrix,
    "convergence": _convergence,
    "alignment_across_datasets": _alignment_across_datasets,
    "dimensions": _dimensions,
    "kinship": _kinship,
    "training_effect": _training_effect,
    "energy_errors": energy_findings,
    "probe": probe_findings,
    "novelty_errors": novelty_error_findings,
    "exposure": exposure_findings,
}
