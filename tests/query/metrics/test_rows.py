"""Estimates from some rows: exact with all rows, unbiased with few, honest about their error."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np
import pytest
import torch

from query.engine.neighbors import candidates
from query.engine.neighbors.search import find_some_lists
from query.engine.rows.drawn import DrawnRows
from query.metrics import METRICS, Comparison, Undefined, align, align_all, cknna
from query.metrics.shared.estimates import RowMetric
from query.statistics.interval import quantile
from tests.query.cases import CASES, benign, related

ESTIMATED = {name: metric for name, metric in METRICS.items() if isinstance(metric, RowMetric)}
WAYS = [(name, way) for name, metric in ESTIMATED.items() for way in metric.estimators or (None,)]
EXACT = [
    (name, way)
    for name, metric in METRICS.items()
    if name not in ESTIMATED
    for way in metric.estimators or (None,)
]
ways = pytest.mark.parametrize(("metric", "estimator"), WAYS)
cases = pytest.mark.parametrize("case", CASES)


def names_of(lists: Any, i: int) -> set[int]:
    return set(lists.who[lists.start[i] : lists.stop[i]].tolist())


@pytest.mark.parametrize("how", ["l2", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@cases
def test_a_drawn_system_has_the_neighbors_that_it_has_among_all(
    case: str, dtype: torch.dtype, how: str
) -> None:
    comparison = Comparison([CASES[case](200)[0]], k=7, normalize=how)
    rows = np.sort(np.random.default_rng(0).choice(200, 40, replace=False))
    x, resolution = comparison.vectors(0), comparison.resolution(0)
    some = find_some_lists(x, rows, 7, "euclidean", resolution, "a", dtype=dtype).first(7)
    every = comparison.neighbors(0, "euclidean", 7)
    for i in rows:
        assert names_of(some, i) == names_of(every, i)
    for share in ("share", "tied"):
        assert np.array_equal(getattr(some, share)[rows], getattr(every, share)[rows])
    alone = np.setdiff1d(np.flatnonzero(some.stop > some.start), rows)  # copies of drawn systems
    assert set(resolution.label[alone]) <= set(resolution.label[rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@cases
def test_a_gpus_search_finds_the_same(
    case: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = Comparison([CASES[case](200)[0]], k=7)
    x, resolution, rows = comparison.vectors(0), comparison.resolution(0), np.arange(5, 190, 4)

    def find() -> Any:
        return find_some_lists(x, rows, 7, "euclidean", resolution, "a", dtype=dtype).first(7)

    def push(tile: Any, bonus: Any, first: int, values: Any, index: Any) -> None:
        candidates._merge(tile + bonus, first, values, index)

    usual = find()
    monkeypatch.setattr(candidates, "_push_strip", push)
    found = find()
    for i in rows:
        assert names_of(found, i) == names_of(usual, i)


@pytest.mark.gpu
@ways
def test_a_gpu_estimates_what_the_cpu_estimates(metric: str, estimator: str | None) -> None:
    a, b = benign(3000)
    how: dict[str, Any] = {"metric": metric, "estimator": estimator, "permutations": 5, "rows": 90}
    found, expected = (align(a, b, device=device, **how) for device in ("cuda", "cpu"))
    assert found.value == pytest.approx(expected.value, rel=1e-4)
    assert found.null_mean == pytest.approx(expected.null_mean, rel=1e-3)


@pytest.mark.parametrize("how", ["l2", "none"])
@cases
@ways
def test_all_rows_give_the_exact_value_and_its_null(
    metric: str, estimator: str | None, case: str, how: str
) -> None:
    comparison, chosen = Comparison(CASES[case](120), k=7, normalize=how), ESTIMATED[metric]
    drawn = DrawnRows(comparison, 120, permutations=3)
    found = chosen.estimate(drawn, 0, 1, estimator)
    assert found.value == pytest.approx(comparison.value(chosen, 0, 1, estimator), rel=1e-9)
    assert found.standard_error(120) == 0
    with contextlib.suppress(Undefined):
        orders = torch.from_numpy(drawn.orders.astype(np.int64))
        expected = chosen.null(comparison, 0, 1, estimator, orders)
        shuffled = chosen.null_of_rows(drawn, 0, 1, estimator)
        assert shuffled == pytest.approx(expected.numpy(), rel=1e-7, abs=1e-9)


@ways
def test_few_rows_are_right_on_average_and_know_their_error(
    metric: str, estimator: str | None
) -> None:
    """Of 80 intervals at 95 %, 68 or fewer hold the value once in 3,000 times."""
    n, r, draws, chosen = 400, 60, 80, ESTIMATED[metric]
    comparison = Comparison(related(n, 3, (9, 8), noise=0.5), k=5)
    exact = comparison.value(chosen, 0, 1, estimator)
    values, held = np.empty(draws), 0
    for seed in range(draws):
        found = chosen.estimate(DrawnRows(comparison, r, seed=seed), 0, 1, estimator)
        error = found.standard_error(n)
        assert error is not None
        values[seed] = found.value
        held += abs(found.value - exact) < quantile(r - 1) * error
    assert abs(values.mean() - exact) < 4 * values.std() / draws**0.5
    assert held > 68


@pytest.mark.parametrize(
    ("metric", "estimator"), [way for way in WAYS if ESTIMATED[way[0]].no_null is None]
)
def test_chance_is_told_from_rows_as_often_as_it_should_be(
    metric: str, estimator: str | None
) -> None:
    """Of 100 pairs of unrelated models, 15 or more with p ≤ 0.05 occur once in 10,000 times."""
    called = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        tables = [random.normal(size=(60, d)) for d in (4, 5)]
        comparison = Comparison(tables, k=3)
        how: dict[str, Any] = {"estimator": estimator, "permutations": 19, "rows": 12}
        ((_, _, found),) = align_all(comparison, [metric], [(0, 1)], seed=seed, **how)
        assert found.p_value is not None
        called += found.p_value <= 0.05
    assert called < 15


@ways
def test_the_same_seed_draws_the_same_rows(metric: str, estimator: str | None) -> None:
    how: dict[str, Any] = {"metric": metric, "estimator": estimator, "k": 3, "rows": 30}
    a, b = benign(300)
    one, again, other = (align(a, b, seed=seed, **how) for seed in (1, 1, 2))
    assert one == again
    assert one.value != other.value
    assert one.rows == 30
    assert one.standard_error is not None
    assert one.standard_error > 0


@pytest.mark.parametrize(("metric", "estimator"), EXACT)
def test_what_costs_no_more_than_its_vectors_stays_exact(
    metric: str, estimator: str | None
) -> None:
    a, b = benign(100)
    exact = align(a, b, metric, estimator=estimator, permutations=5)
    assert align(a, b, metric, estimator=estimator, permutations=5, rows=10) == exact
    assert (exact.rows, exact.standard_error) == (100, None)


@pytest.mark.parametrize("rows", [100, 1000])
@ways
def test_as_many_rows_as_systems_are_exact(metric: str, estimator: str | None, rows: int) -> None:
    a, b = benign(100)
    how: dict[str, Any] = {"estimator": estimator, "k": 5, "permutations": 5, "subsamples": 2}
    found = align(a, b, metric, rows=rows, **how)
    assert found == align(a, b, metric, **how)
    assert (found.rows, found.standard_error) == (100, None)


def test_unbiased_cknna_is_exact_where_its_rows_are_half_of_all() -> None:
    a, b = benign(100)
    assert align(a, b, k=4, rows=9).rows == 9  # and at most 45 with their neighbors
    found = align(a, b, k=4, rows=10)
    assert (found.rows, found.standard_error, found.value) == (100, None, cknna(a, b, 4))


def test_unbiased_cknna_takes_fewer_rows_where_all_cost_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["query.metrics.cknna"], "MOST", 40)  # the name is a function's
    a, b = benign(400)
    exact, found = cknna(a, b, 4), [align(a, b, k=4, rows=40, seed=seed) for seed in range(40)]
    assert {each.rows < 40 for each in found} == {True}
    errors = [each.standard_error for each in found if each.standard_error is not None]
    mean = np.mean([each.value for each in found if each.value is not None])
    assert len(errors) == 40
    assert abs(mean - exact) < 4 * np.sqrt(np.mean(np.square(errors)) / 40)
    assert found[0].warning is not None and "estimator 'centered' takes all" in found[0].warning
    again = align(a, b, k=4, rows=40, permutations=19)
    assert (again.value, again.rows) == (found[0].value, found[0].rows) and again.p_value == 0.05
    assert align(a, b, k=4, rows=40, estimator="centered").rows == 40


@pytest.mark.parametrize("rows", [0, -3])
def test_no_rows_are_refused(rows: int) -> None:
    a, b = benign(20)
    with pytest.raises(ValueError, match=f"rows = {rows}, expected 1 or more"):
        align(a, b, rows=rows)


def test_one_row_has_no_error() -> None:
    a, b = benign(100)
    found = align(a, b, "mutual_knn", k=5, rows=1)
    assert found.value is not None
    assert found.standard_error is None


def test_what_rows_do_not_give_is_said() -> None:
    a, b = benign(100)
    found = align(a, b, "distance_correlation", rows=10, permutations=5, subsamples=4)
    assert (found.low, found.p_value, found.calibrated) == (None, None, None)
    assert found.warning == (
        "no interval: subsets of the systems need the neighbors of all, not of 10 rows; "
        "no null: distance_correlation has none from some rows"
    )


def test_models_without_values_have_a_reason_and_harm_no_others() -> None:
    a, b = benign(100)
    tables = [a, np.ones((100, 3)), b]
    for name in ESTIMATED:
        found = {
            pair: each
            for _, pair, each in align_all(
                Comparison(tables, k=3), [name], [(0, 1), (0, 2), (2, 1)], rows=20, permutations=2
            )
        }
        assert found[0, 1].reason == "every vector of model 1 is the same after 'l2' normalization"
        assert found[2, 1].value is None
        alone = align(a, b, name, k=3, rows=20, permutations=2)
        assert found[0, 2].value == pytest.approx(alone.value)
        assert found[0, 2].p_value == alone.p_value
