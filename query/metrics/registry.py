"""Finds the metrics and measures: each module here that has a `METRIC` or a `MEASURE`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import Any

from query.engine.suggestions import unknown_name
from query.metrics.base import Measure, Metric


@functools.cache
def discover() -> dict[str, Metric]:
    """Return all metrics of two models by name, in alphabetical order."""
    return {metric.name: metric for metric in _found("METRIC")}


@functools.cache
def discover_measures() -> dict[str, Measure]:
    """Return all measures of one model by name, in alphabetical order."""
    return {measure.name: measure for measure in _found("MEASURE")}


def _found(attribute: str) -> list[Any]:
    """Return this attribute of every module of this folder that has it."""
    package = __name__.rpartition(".")[0]
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    modules = (importlib.import_module(f"{package}.{name}") for name in names)
    return [getattr(module, attribute) for module in modules if hasattr(module, attribute)]


def find_metric(name: str) -> Metric:
    """Return the metric of this name.

    Args:
        name: The name, such as "cknna".

    Raises:
        ValueError: There is none; the message suggests the nearest.
    """
    metrics = discover()
    if name in metrics:
        return metrics[name]
    raise ValueError(unknown_name("metric", name, metrics))


def is_whole(name: str) -> bool:
    """Return whether a metric starts from whole vectors, rather than from lists or sums.

    Lists and sums are of products or distances of two systems.

    Args:
        name: The name of the metric.

    Raises:
        ValueError: There is none.
    """
    metric = find_metric(name)
    return metric.lists is None and not metric.needs


def find_measure(name: str) -> Measure:
    """Return the measure of this name.

    Args:
        name: The name, such as "effective_rank".

    Raises:
        ValueError: There is none; the message suggests the nearest.
    """
    measures = discover_measures()
    if name in measures:
        return measures[name]
    raise ValueError(unknown_name("measure", name, measures))


def choose_estimator(metric: Metric, estimator: str | None) -> str | None:
    """Return the estimator that was asked for, or the metric's default.

    Args:
        metric: The metric.
        estimator: The name of the estimator; None for the default.

    Returns:
        The name; None if the metric has no estimators.

    Raises:
        ValueError: The metric does not have it.
    """
    if estimator is None:
        return metric.estimators[0] if metric.estimators else None
    if estimator in metric.estimators:
        return estimator
    if not metric.estimators:
        raise ValueError(
            f"{metric.name} has no estimators, but estimator '{estimator}' was asked for: "
            "leave it out"
        )
    raise ValueError(unknown_name(f"estimator of {metric.name}", estimator, metric.estimators))


def choose_method(measure: Measure, method: str | None) -> str:
    """Return the method that was asked for, or the measure's default.

    Args:
        measure: The measure.
        method: The name of the method; None for the default.

    Raises:
        ValueError: The measure does not have it.
    """
    if method is None:
        return measure.methods[0]
    if method in measure.methods:
        return method
    raise ValueError(unknown_name(f"method of {measure.name}", method, measure.methods))
