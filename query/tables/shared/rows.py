"""Columns that several table functions share, in groups from which their rows are put together.

A dataclass has the columns of its last base first, so `class Row(Notes, Value, Pair)` begins with
the pair. Notes come last: a terminal that is too narrow shows the first and the last columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """The two models of an alignment."""

    model_a: Annotated[str, "the first model; model#representation if not its default one"]
    model_b: Annotated[str, "the second model"]


@dataclass(frozen=True)
class Value:
    """An alignment, and how it was computed."""

    dataset: Annotated[str, "the dataset whose systems are compared"]
    value: Annotated[float | None, "the metric; NULL where it is undefined"]
    calibrated: Annotated[float | None, "the value between chance (0) and identity (1)"]
    p_value: Annotated[float | None, "how often shuffled pairs of systems are as much alike"]
    n: Annotated[int, "systems that are compared"]
    n_distinct: Annotated[int | None, "distinct vectors of the model that has fewer"]
    dropped_a: Annotated[int, "systems of the first model that another one has no vectors of"]
    dropped_b: Annotated[int, "systems of the second model that another one has no vectors of"]
    metric: Annotated[str, "the metric"]
    estimator: Annotated[str | None, "the estimator of the metric, if it has several"]
    normalization: Annotated[str, "how vectors were normalized"]
    k: Annotated[int | None, "neighbors per system, of a metric that has them"]
    null_mean: Annotated[float | None, "the mean of the value over shuffled pairs: chance"]
    null_std: Annotated[float | None, "the standard deviation over shuffled pairs"]
    low: Annotated[float | None, "lower end of the 95 % interval of the value"]
    high: Annotated[float | None, "upper end of the 95 % interval of the value"]
    standard_error: Annotated[float | None, "the error of an estimate from rows; NULL if exact"]
    rows: Annotated[int, "systems whose neighbors were found: n if exact"]
    given: Annotated[str | None, "of what nothing linear is left in both models"]
    given_share_a: Annotated[float | None, "share of the first model that the given explains"]
    given_share_b: Annotated[float | None, "share of the second model that the given explains"]
    given_shuffled: Annotated[float | None, "the value with the given's systems shuffled"]


@dataclass(frozen=True)
class Notes:
    """What to know before a value is believed."""

    warning: Annotated[str | None, "what weakens the value"]
    reason: Annotated[str | None, "why there is no value"]


@dataclass(frozen=True)
class Aligned(Notes, Value, Pair):
    """The alignment of two models by one metric on one dataset."""


def only_reason(row: type[T], reason: str, known: Mapping[str, Any]) -> T:
    """Return the row of a question that has no answer.

    Args:
        row: A dataclass with a field `reason`.
        reason: Why there is none.
        known: The fields that are known nevertheless; the others are None.
    """
    nothing = dict.fromkeys(field.name for field in fields(cast("Any", row)))
    return row(**nothing | dict(known) | {"reason": reason})
