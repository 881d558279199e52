"""Numbers and words of axes, legends and tooltips."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from query.metrics import find_metric

_MINUS = "\N{MINUS SIGN}"
_ROUNDING = 1e-12  # below which a value is what computing left of zero


def format_number(value: float | None, digits: int = 3) -> str:
    """Return a value as text, with all its significant digits, also if they are zeros.

    Args:
        value: The value; None is "undefined".
        digits: How many significant digits are shown.

    Returns:
        For example "0.780", "-0.50" with a true minus, or "1,234"; "0.00" of what is rounding.
    """
    if value is None:
        return "undefined"
    if abs(value) < _ROUNDING:
        value = 0.0
    if abs(value) >= 10**digits - 0.5:  # which rounds to more digits
        return f"{value:,.0f}".replace("-", _MINUS)
    return f"{value + 0.0:#.{digits}g}".rstrip(".").replace("-", _MINUS)


def format_fixed(value: float, decimals: int, *, sign: bool = False) -> str:
    """Return a value as text with a number of decimals, as in columns.

    Args:
        value: The value.
        decimals: How many decimals are shown.
        sign: Whether a value above 0 has a plus.

    Returns:
        For example "0.78", "+0.20", or "-0.20" with a true minus; never "-0.00".
    """
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{'+' if sign else ''}.{decimals}f}".replace("-", _MINUS)


def format_p(value: float, least: float | None = None) -> str:
    """Return a p-value as text.

    Args:
        value: The p-value.
        least: The smallest that it could be, as permutations are so many; None if that is unknown.

    Returns:
        For example "p = 0.040", or "p ≤ 0.00010" of one that cannot be smaller.
    """
    return f"p {'=' if least is None or value > least else '≤'} {format_number(value, 2)}"


def format_range(low: float, high: float) -> str:
    """Return the ends of an interval as text.

    Args:
        low: The lower end.
        high: The upper end.
    """
    return f"{format_number(low, 2)} to {format_number(high, 2)}"


def format_counts(counts: Iterable[int]) -> str:
    """Return the least and the most of some counts as text, one number if they are equal.

    Args:
        counts: At least one.
    """
    every = set(counts)
    return " to ".join(f"{count:,}" for count in dict.fromkeys((min(every), max(every))))


_ERRORS = {
    "_mae": "mean absolute error",
    "_rmse": "root mean square error",
}
_MEASURED = "composition_residual_mae"
_SCORES = {
    _MEASURED: "mean absolute error of energies, composition taken out",
    "f1": "F1",
    "rmsd": "RMSD",
    "kappa_srme": "thermal conductivity, symmetric relative mean error",
    "magmom_mae": "magnetic moment, mean absolute error",
}
_METRICS = {
    "cknna": "CKNNA",
    "mutual_knn": "mutual k-NN",
    "cka": "CKA",
    "rsa": "RSA",
    "procrustes": "Procrustes distance",
}

# What a figure says of the models that it draws if none are named.
LEFT_OUT = "Models and descriptors; untrained twins and controls are left out."

_COLORS = {
    "n_atoms": "atoms",
    "n_residues": "residues",
    "n_elements": "elements",
    "element": "most frequent element, other than hydrogen",
    "group": "group of the most frequent element, other than hydrogen",
    "rings": "rings of molecules",
}
_METHODS = {
    "pca": "principal components",
    "umap": "UMAP",
    "mle": "maximum likelihood",
    "twonn": "two nearest neighbors",
    "ridge": "ridge regression",
    "logistic": "logistic regression",
    "knn": "nearest neighbors",
    "mahalanobis": "Mahalanobis distance",
}


def natural_order(name: str) -> list[Any]:
    """Return a key by which names are sorted with their numbers as numbers: m-2 before m-10.

    Args:
        name: The name.
    """
    parts = re.split(r"(\d+)", name)  # text and numbers in turn, so that keys can be compared
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def metric_label(metric: str) -> str:
    """Return what a metric is called in words.

    Args:
        metric: The name of a metric, as in SQL.

    Returns:
        For example "CKNNA", or "distance correlation".
    """
    return _METRICS.get(metric, metric.replace("_", " "))


def score_label(score: str) -> str:
    """Return what a score is called in words.

    Args:
        score: The name of a score, as in table scores: "energy_mae".

    Returns:
        For example "energy, mean absolute error".
    """
    if score in _SCORES:
        return _SCORES[score]
    for ending, words in _ERRORS.items():
        if score.endswith(ending):
            return f"{score.removesuffix(ending).replace('_', ' ')}, {words}"
    return score.replace("_", " ")


def score_phrase(score: str) -> str:
    """Return what a score is called within a sentence.

    Args:
        score: The name of a score, as in table scores: "energy_mae".

    Returns:
        For example "the mean absolute error of energy".
    """
    if score == _MEASURED:
        return "the error of energies (composition taken out)"
    measured, comma, error = score_label(score).partition(", ")
    return f"the {error} of {measured}" if comma else measured


def property_label(name: str) -> str:
    """Return what a property is called in words.

    Args:
        name: The name of a label, as in table labels: "formation_enthalpy_298K".

    Returns:
        For example "formation enthalpy at 298 K".
    """
    return re.sub(r"_(\d+)K$", r" at \1 K", name).replace("_", " ")


def color_label(color: str) -> str:
    """Return what systems are colored by, in words.

    Args:
        color: A column of the statement `system_map`, or the name of a label.

    Returns:
        For example "atoms", or "formation enthalpy at 298 K".
    """
    return _COLORS.get(color, property_label(color))


def method_label(method: str) -> str:
    """Return what a method is called in words.

    Args:
        method: The name of a method, as in SQL: of a measure, a probe, a map, or of novelty.

    Returns:
        For example "maximum likelihood".
    """
    return _METHODS.get(method, method.replace("_", " "))


def choice_label(switch: str, value: str) -> str:
    """Return what a choice of the page is called in words.

    Args:
        switch: What is chosen: "metric", "color", "method", …
        value: The choice, as a figure's function takes it.

    Returns:
        For example "mutual k-NN".
    """
    if switch == "metric":
        return metric_label(value)
    if switch == "color":
        return color_label(value)
    if switch == "property":
        return property_label(value)
    if switch == "method":
        return method_label(value)
    if switch == "score":
        score, comma, rest = value.partition(", ")
        return score_label(score) + comma + rest
    return value


def direction_label(metric: str) -> str:
    """Return which values of a metric belong to models that are alike.

    Args:
        metric: The name of a metric.

    Returns:
        "high is alike" or "low is alike", for the label of an axis.
    """
    return f"{'low' if find_metric(metric).lower_is_closer else 'high'} is alike"


def sample_label(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return from how many systems, and with which k, the defined values of rows come.

    Args:
        rows: Rows with the columns value, n and k.

    Returns:
        For example "n = 284 to 288, k = 25".
    """
    defined = [row for row in rows if row["value"] is not None]
    ns, ks = (sorted({row[name] for row in defined} - {None}) for name in ("n", "k"))
    found = [f"n = {format_counts(ns)}"] if ns else []
    return ", ".join(found + ([f"k = {' or '.join(map(str, ks))}"] if ks else []))
