"""Probes: against scikit-learn, and at chance where there is nothing to be read."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from query.statistics.probes import maps
from query.statistics.probes import ridge as ridge_module
from query.statistics.probes.folds import assign_folds, shuffle_labels, training_means
from query.statistics.probes.logistic import predict_logistic
from query.statistics.probes.neighbors import NEIGHBORS, Neighbors
from query.statistics.probes.ridge import PENALTIES, leading_directions
from query.statistics.probes.scores import Judged, interval, resampled_groups, score_columns

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def made(n: int = 60, d: int = 6, seed: int = 0) -> tuple[Floats, Floats, Whole]:
    """Vectors, a label that half follows them, and folds."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d) + 2 * rng.normal(size=n) + 5
    return x, y, assign_folds(np.arange(n), 5, seed)


@pytest.mark.parametrize("d", [6, 90])
def test_ridge_is_that_of_scikit_learn_in_nested_folds(d: int) -> None:
    x, y, folds = made(d=d)
    labels = np.column_stack([y, np.roll(y, 7)])
    found = ridge_module.Ridge(x, folds).predict(labels)
    for column in range(2):
        for fold in (column, 4):
            inside, outer = folds == fold, folds != fold
            errors = np.zeros(len(PENALTIES))
            for inner in set(range(5)) - {fold}:
                fitted, judged = outer & (folds != inner), folds == inner
                for i, penalty in enumerate(PENALTIES[:-1]):
                    model = Ridge(alpha=penalty * mean_eigenvalue(x, fitted), solver="svd")
                    model.fit(x[fitted], labels[fitted, column])
                    errors[i] += np.square(model.predict(x[judged]) - labels[judged, column]).sum()
                mean = labels[fitted, column].mean()
                errors[-1] += np.square(mean - labels[judged, column]).sum()
            best = int(errors.argmin())
            assert found.chosen[fold, column] == best
            if np.isfinite(PENALTIES[best]):
                model = Ridge(alpha=PENALTIES[best] * mean_eigenvalue(x, outer), solver="svd")
                expected = model.fit(x[outer], labels[outer, column]).predict(x[inside])
                assert found.values[inside, column] == pytest.approx(expected, rel=1e-6)


def mean_eigenvalue(x: Floats, rows: NDArray[np.bool_]) -> float:
    centered = x[rows] - x[rows].mean(axis=0)
    return float(np.square(centered).sum() / min(x.shape[1], len(x) - 1))


def test_neighbors_are_those_of_scikit_learn_in_nested_folds() -> None:
    x, y, folds = made(n=100)
    found = Neighbors(x, folds).predict(y[:, None])
    for fold in range(5):
        outer = folds != fold
        search = GridSearchCV(
            KNeighborsRegressor(),
            {"n_neighbors": NEIGHBORS},
            cv=PredefinedSplit(folds[outer]),
            scoring="neg_mean_squared_error",
        ).fit(x[outer], y[outer])
        assert found.chosen[fold, 0] == search.best_params_["n_neighbors"]
        assert found.values[~outer, 0] == pytest.approx(search.predict(x[~outer]), rel=1e-6)


def test_logistic_is_that_of_scikit_learn_and_its_score_the_area() -> None:
    x, y, folds = made(n=100)
    labels = (y > 5).astype(np.float64)
    fitted = ridge_module.Ridge(x, folds)
    chosen = fitted.predict(labels[:, None]).chosen[:, 0]
    found = predict_logistic(fitted, labels, folds, chosen).values[:, 0]
    means = training_means(labels[:, None], folds)[:, 0]
    rate = means[folds == 2][0]
    model = LogisticRegression(C=1 / (fitted.penalty(2, chosen[2]) * rate * (1 - rate)), tol=1e-8)
    expected = model.fit(x[folds != 2], labels[folds != 2]).predict_proba(x[folds == 2])[:, 1]
    assert found[folds == 2] == pytest.approx(expected, rel=1e-3)
    judged = Judged(labels, np.round(found, 1), means, folds, np.arange(100), True)
    areas = [roc_auc_score(labels[folds == i], judged.predicted[folds == i]) for i in range(5)]
    pairs = [np.prod(np.bincount(labels[folds == i].astype(int))) for i in range(5)]
    value = judged.value()
    assert value == pytest.approx(np.average(areas, weights=pairs))
    columns = score_columns(labels[:, None], judged.predicted[:, None], means[:, None], judged)
    assert columns[0] == pytest.approx(value)
    low, high = interval(judged.values_of(resampled_groups(judged.groups, 0)), 100)
    assert low is not None and high is not None and value is not None
    assert 0.7 < low < value < high < 1


def test_r2_and_its_interval() -> None:
    x, y, folds = made(n=200)
    predicted = cross_val_predict(Ridge(), x, y, cv=PredefinedSplit(folds))
    means = training_means(y[:, None], folds)[:, 0]
    judged = Judged(y, predicted, means, folds, np.arange(200) // 2, False)
    expected = 1 - np.square(y - predicted).sum() / np.square(y - means).sum()
    assert judged.value() == pytest.approx(expected)
    low, high = interval(judged.values_of(resampled_groups(judged.groups, 0)), 100)
    assert low is not None and high is not None
    assert low < expected < high < low + 0.3
    assert interval(np.full(9, np.nan), 100) == interval(np.ones(9), 4) == (None, None)
    nothing = Judged(y, means, means, folds, judged.groups, False)
    assert nothing.value() == 0


def test_folds_split_no_group_and_are_of_about_one_size() -> None:
    groups = np.random.default_rng(0).integers(0, 30, 200)
    folds = assign_folds(groups, 5, 1)
    assert all(np.unique(folds[groups == group]).size == 1 for group in range(30))
    assert np.ptp(np.bincount(folds)) <= 10
    assert not np.array_equal(folds, assign_folds(groups, 5, 2))
    assert np.unique(assign_folds(np.array([0, 0, 1]), 5, 0)).size == 2


def test_labels_are_shuffled_by_whole_groups() -> None:
    groups = np.repeat(np.arange(10), 3)[np.random.default_rng(0).permutation(30)]
    labels = groups * 10.0 + np.random.default_rng(1).random(30)
    found = shuffle_labels(labels, groups, 20, 0)
    assert all(np.array_equal(np.sort(column), np.sort(labels)) for column in found.T)
    kept = [np.unique(np.floor(found[groups == g] / 10), axis=0).shape[0] for g in range(10)]
    assert set(kept) == {1}
    assert not np.array_equal(found[:, 0], found[:, 1])


def test_leading_directions_hold_all_that_there_is_up_to_a_number() -> None:
    rng = np.random.default_rng(0)
    for shape in ((20, 50), (50, 20)):
        x = rng.normal(size=shape)
        centered = x - x.mean(axis=0)
        assert leading_directions(x) @ leading_directions(x).T == pytest.approx(
            centered @ centered.T, abs=1e-9
        )
        few = leading_directions(x, 5)
        spread = np.linalg.svd(centered, compute_uv=False)[:5]
        assert np.linalg.svd(few, compute_uv=False) == pytest.approx(spread)


def p_and_score(seed: int, groups: Whole, method: type) -> tuple[float, float, float]:
    """Return p and score in folds of groups, and the score in folds of systems.

    Vectors and label are alike within a group and have nothing in common otherwise.
    """
    rng = np.random.default_rng(seed)
    count = groups.max() + 1
    x = rng.normal(size=(count, 4))[groups] + 0.3 * rng.normal(size=(groups.size, 4))
    y = rng.normal(size=count)[groups]
    labels = np.column_stack([y, shuffle_labels(y, groups, 19, seed)])
    scores = []
    for split, columns in ((groups, labels), (np.arange(groups.size), labels[:, :1])):
        folds = assign_folds(split, 5, seed)
        values = method(x, folds).predict(columns).values
        means = training_means(columns, folds)
        judged = Judged(y, values[:, 0], means[:, 0], folds, groups, False)
        scores.append(score_columns(columns, values, means, judged))
    null = scores[0]
    return (1 + (null[1:] >= null[0]).sum()) / 20, null[0], scores[1][0]


@pytest.mark.parametrize(("method", "count"), [(ridge_module.Ridge, 14), (Neighbors, 8)])
def test_a_label_of_groups_is_not_read_in_their_folds_and_p_is_uniform(
    method: type, count: int
) -> None:
    groups = np.repeat(np.arange(15), 3)
    p, inside, leaked = np.array([p_and_score(seed, groups, method) for seed in range(count)]).T
    assert (p <= 0.05).sum() <= 4  # more are as likely as 0.0004
    assert 0.5 - 1.2 / count**0.5 < p.mean() < 0.5 + 1.2 / count**0.5  # four deviations
    assert -0.3 < inside.mean() < 0.02
    assert leaked.mean() > inside.mean() + 0.1


def test_p_is_uniform_for_labels_of_noise() -> None:
    found = [p_and_score(seed, np.arange(40), ridge_module.Ridge)[0] for seed in range(16)]
    assert (np.array(found) <= 0.05).sum() <= 4
    assert 0.2 < np.mean(found) < 0.8  # four deviations


def transferred(seed: int, *, share: bool) -> dict[str, tuple[float, float, float]]:
    """Return by map the score of a head of b on a, p against shuffled maps, and b's own score."""
    rng = np.random.default_rng(seed)
    n, seen, groups = 60, rng.normal(size=(60, 4)), np.arange(60)
    other = seen if share else rng.normal(size=(n, 4))
    a = other @ rng.normal(size=(4, 8)) + 0.3 * rng.normal(size=(n, 8))
    b = seen @ rng.normal(size=(4, 12)) + 0.3 * rng.normal(size=(n, 12))
    y, folds = seen[:, 0], assign_folds(groups, 5, seed)
    heads = maps.Transfer(a, b, y, folds, seed)
    means = training_means(y[:, None], folds)[:, 0]

    def score(predicted: Floats) -> float:
        return Judged(y, predicted, means, folds, groups, False).value() or 0.0

    found = {}
    for kind in maps.MAPS:
        value = score(heads.predict(kind)[0])
        orders = [maps.shuffle_within(folds, groups, i) for i in range(4)]
        null = [score(heads.predict(kind, order)[0]) for order in orders]
        found[kind] = value, (1 + sum(each >= value for each in null)) / 5, score(heads.own())
    return found


def test_a_head_works_on_another_model_that_sees_the_same() -> None:
    found = transferred(1, share=True)
    value, p, own = found["linear"]
    assert own > 0.9 and own - 0.1 < value < own + 0.05 and p == 0.2
    assert found["orthogonal"][0] > 0.2
    assert found["anchors"][0] > 0.2 and found["anchors"][1] <= 0.4


def test_a_head_is_at_chance_on_models_that_share_nothing() -> None:
    runs = [transferred(seed, share=False) for seed in range(2)]
    for kind in maps.MAPS:
        assert np.mean([run[kind][0] for run in runs]) < 0.05, kind
        assert np.mean([run[kind][1] for run in runs]) > 0.2, kind  # the lowest


def test_a_rotated_model_is_mapped_wholly_and_an_orthogonal_map_keeps_its_scale() -> None:
    x, y, folds = made(n=60, d=5)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))[0]
    heads = maps.Transfer(x @ turn, 3 * x + 1, y, folds, 0)
    for kind in ("linear", "orthogonal"):
        predicted, share = heads.predict(kind)
        assert share == pytest.approx(1, abs=1e-3)
        assert predicted == pytest.approx(heads.own(), abs=0.05)
    assert maps.mapped_share(x, np.zeros_like(x), folds) < 0.01
