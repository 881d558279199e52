"""Logistic regression of a label of two values, with the penalty that ridge regression chose.

A Newton step of logistic regression from the mean label π is ridge regression of the labels with
the penalty λ / (π (1 − π)). So the penalty α that nested folds chose for ridge stands for λ = α π
(1 − π), and one fit per fold is enough.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from query.statistics.probes.ridge import PENALTIES, Predicted, Ridge

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_NEWTON = 512  # directions, up to which Newton's method is the faster one
_STEPS = 1000  # at most


def predict_logistic(ridge: Ridge, labels: Floats, folds: Whole, chosen: Whole) -> Predicted:
    """Return the probability of the value 1 for each system, from the other folds.

    Args:
        ridge: The ridge regression on the same vectors.
        labels: The labels, (n,), 0 or 1, both among the others of each fold.
        folds: The fold of each system, (n,).
        chosen: Which of PENALTIES ridge chose, (folds,).
    """
    # It takes a second to import, which other questions need not wait for.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    values = np.empty((labels.size, 1))
    solver = "newton-cholesky" if ridge.x.shape[1] <= _NEWTON else "lbfgs"
    for fold, number in enumerate(chosen):
        inside = folds == fold
        mean = labels[~inside].mean()
        if np.isinf(PENALTIES[number]):
            values[inside] = mean
            continue
        penalty = ridge.penalty(fold, number) * mean * (1 - mean)
        model = LogisticRegression(C=1 / penalty, solver=solver, max_iter=_STEPS)
        with warnings.catch_warnings():  # of a fit that has come near enough for a ranking
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(ridge.x[~inside], labels[~inside])
        values[inside, 0] = model.predict_proba(ridge.x[inside])[:, 1]
    return Predicted(values, chosen[:, None])
