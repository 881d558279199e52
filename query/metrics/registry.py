"""Finds the metrics: every module of this folder that has a `METRIC`."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from pathlib import Path

from query.metrics.base import Metric


@functools.cache
def discover() -> dict[str, Metric]:
    """All metrics by name, in alphabetical order."""
    package = __name__.rpartition(".")[0]
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    modules = (importlib.import_module(f"{package}.{name}") for name in names)
    found = [module.METRIC for module in modules if hasattr(module, "METRIC")]
    return {metric.name: metric for metric in found}


def find_metric(name: str) -> Metric:
    """The metric of this name. Raises ValueError that suggests the nearest one."""
    metrics = discover()
    if name in metrics:
        return metrics[name]
    raise ValueError(unknown("metric", name, metrics))


def choose_estimator(metric: Metric, estimator: str | None) -> str | None:
    """The estimator asked for, or the metric's default. Raises ValueError on one that it does not have."""
    if estimator is None:
        return metric.estimators[0] if metric.estimators else None
    if estimator in metric.estimators:
        return estimator
    if not metric.estimators:
        raise ValueError(f"{metric.name} has no estimators, but estimator '{estimator}' was asked for: leave it out")
    raise ValueError(unknown(f"estimator of {metric.name}", estimator, metric.estimators))


def unknown(kind: str, name: object, known: dict[str, Metric] | tuple[str, ...]) -> str:
    """The sentence for a name that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {kind} '{name}'; {hint}there are: {', '.join(known)}"
