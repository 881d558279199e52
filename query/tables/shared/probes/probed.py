"""Vectors of one model, probed for a label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query.engine.normalization import normalize
from query.engine.undefined import Undefined
from query.statistics.probes.folds import training_means
from query.statistics.probes.logistic import predict_logistic
from query.statistics.probes.neighbors import Neighbors
from query.statistics.probes.ridge import MOST_DIRECTIONS, Ridge
from query.statistics.probes.scores import Judged, score_columns
from query.tables.shared.probes.question import Question

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

RIDGE, LOGISTIC, KNN, MEAN = "ridge", "logistic", "knn", "mean"
METHODS = (RIDGE, LOGISTIC, KNN)


@dataclass(frozen=True)
class Probed:
    """What a probe of one model found.

    Attributes:
        name: The model, or the baseline.
        method: The probe.
        places: Which of the labeled systems have a vector, (n,).
        dimension: The elements of a vector.
        judged: The predictions; None if there are none.
        null: The score with shuffled labels, (permutations,).
        p_value: How often it is as good as that of the labels.
        warning: What weakens the score.
        reason: Why there is none.
    """

    name: str
    method: str
    places: Whole
    dimension: int | None = None
    judged: Judged | None = None
    null: Floats | None = None
    p_value: float | None = None
    warning: str | None = None
    reason: str | None = None

    @cached_property
    def value(self) -> float | None:
        """R² or AUC; None if there is none."""
        return None if self.judged is None else self.judged.value()


class Vectors:
    """Vectors of some labeled systems, prepared once for all probes."""

    def __init__(self, question: Question, name: str, table: NDArray[np.floating]) -> None:
        """Take the vectors.

        Args:
            question: The labels.
            name: How reasons call the model.
            table: The vectors of the systems that have a label, (n, d).
        """
        self._question, self._name, self._table = question, name, table

    def judge(self, places: Whole, predicted: Floats) -> Judged:
        """Return predictions beside the labels.

        Args:
            places: Which of the labeled systems they are of, (n,).
            predicted: The predictions, (n,).
        """
        question = self._question
        values, folds = question.values[places], question.folds[places]
        means = training_means(values[:, None], folds)[:, 0]
        groups = question.groups[places]
        return Judged(values, predicted, means, folds, groups, question.has_classes)

    def probe(self, places: Whole, method: str, permutations: int) -> Probed:
        """Return what one probe finds.

        Args:
            places: Which of the labeled systems the vectors are of, (n,).
            method: One of METHODS.
            permutations: How many times the labels are shuffled.
        """
        question, width = self._question, self._table.shape[1]
        known: dict[str, Any] = {"name": self._name, "method": method, "places": places}
        known["dimension"] = width
        reason = question.why_not(places)
        if reason is None and method == LOGISTIC and not question.has_classes:
            reason = f"'{question.labels.name}' has more than two values, so that it has no classes"
        if reason is not None:
            return Probed(**known, reason=reason)
        folds = np.unique(question.folds[places], return_inverse=True)[1]
        labels = np.column_stack([question.values[places], question.shuffled(places, permutations)])
        try:
            values, first = self._probes[method](labels, folds)
        except Undefined as undefined:
            return Probed(**known, reason=str(undefined))
        judged = self.judge(places, first)
        scores = score_columns(labels, values, training_means(labels, folds), judged)
        null = scores[1:]
        p_value = None
        if permutations and not np.isnan(scores[0]):
            p_value = (1 + int((null >= scores[0] - 1e-12).sum())) / (1 + permutations)
        return Probed(
            **known, judged=judged, null=null, p_value=p_value, warning=self._warning(method)
        )

    def _warning(self, method: str) -> str | None:
        if method == KNN or min(self._table.shape) <= MOST_DIRECTIONS:
            return None
        return f"only the {MOST_DIRECTIONS} strongest directions of {self._name} are fitted"

    @property
    def _probes(self) -> dict[str, Callable[[Floats, Whole], tuple[Floats, Floats]]]:
        return {RIDGE: self._ridge, LOGISTIC: self._logistic, KNN: self._neighbors}

    def _ridge(self, labels: Floats, folds: Whole) -> tuple[Floats, Floats]:
        """Return predictions of all labels, (n, m), and those of the first that count, (n,)."""
        found = self._fitted(folds).predict(labels).values
        return found, found[:, 0]

    def _logistic(self, labels: Floats, folds: Whole) -> tuple[Floats, Floats]:
        """Return predictions of ridge, by which the labels' order is tested, and of logistic."""
        ridge = self._fitted(folds)
        found = ridge.predict(labels)
        logistic = predict_logistic(ridge, labels[:, 0], folds, found.chosen[:, 0])
        return found.values, logistic.values[:, 0]

    def _neighbors(self, labels: Floats, folds: Whole) -> tuple[Floats, Floats]:
        found = Neighbors(self._normalized(), folds, self._question.seed).predict(labels).values
        return found, found[:, 0]

    def _fitted(self, folds: Whole) -> Ridge:
        return Ridge(self._normalized(), folds)

    def _normalized(self) -> Floats:
        found: Floats = normalize(self._table, self._question.normalization, self._name).numpy()
        return found
