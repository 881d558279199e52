"""Nulls of many pairs that are found together are, to the bit, those that are found one by one."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from query.metrics import Comparison, align_all, find_metric

N = 150
PAIRS = [(i, j) for i in range(7) for j in range(7) if i != j]


def make_tables() -> list[np.ndarray]:
    """Return seven models: four see the same with noise, two have ties, one has few vectors."""
    random = np.random.default_rng(0)
    seen = random.normal(size=(N, 4))
    near = [seen + noise * random.normal(size=(N, 4)) for noise in (0.1, 0.5, 1, 2)]
    tied = [np.round(seen + 0.3 * random.normal(size=(N, 4))) + 0.1 for _ in range(2)]
    few = np.eye(6)[random.integers(0, 6, N)]  # their lists are long
    return [table.astype("f4") for table in (*near, *tied, few)]


def nulls(pairs: list[tuple[int, int]], metric: str = "cknna") -> list[tuple[Any, ...]]:
    tables = make_tables()
    comparison = Comparison(tables, names=[f"m{i}" for i in range(len(tables))], n=N, k=5)
    found = align_all(comparison, [metric], pairs, permutations=12)
    return [(pair, a.value, a.null_mean, a.null_std, a.p_value) for _, pair, a in found]


@pytest.mark.parametrize("side", [16, 3])
@pytest.mark.parametrize("kernel", ["sum_shared", "find_shared"])
def test_together_is_one_by_one(monkeypatch: pytest.MonkeyPatch, side: int, kernel: str) -> None:
    module = sys.modules["query.metrics.shared.many_pairs"]
    find, groups = getattr(module, kernel), []

    def count(*arguments: Any) -> Any:
        groups.append(arguments[0].start.shape[1])
        return find(*arguments)

    monkeypatch.setattr(module, "SIDE", side)
    monkeypatch.setattr(module, "_ROOM", 0)  # so that there has to be made more
    if kernel == "find_shared":
        monkeypatch.setattr(module, "_SUMMED", 0)  # as of many systems
    monkeypatch.setattr(module, kernel, count)
    together = nulls(PAIRS)
    assert max(groups) == min(side, 7)
    monkeypatch.setattr(module, "_WORTH", len(PAIRS) + 1)
    groups.clear()
    assert nulls(PAIRS) == together and groups == []
    assert all(row[2] is not None for row in together)


@pytest.mark.parametrize("metric", ["cka", "rsa", "distance_correlation"])
def test_matrices_together_are_one_by_one(metric: str) -> None:
    some = PAIRS[:3]  # fewer than are found together
    together = nulls(PAIRS, metric)
    assert [row for row in together if row[0] in some] == nulls(some, metric)
    assert all(row[2] is not None for row in together)


@pytest.mark.parametrize("metric", ["mutual_knn", "information_imbalance"])
def test_lists_together_are_one_by_one(monkeypatch: pytest.MonkeyPatch, metric: str) -> None:
    together = nulls(PAIRS, metric)
    kind = type(find_metric(metric))
    asked = []

    def none_together(*arguments: Any) -> dict[Any, Any]:
        asked.append(arguments)
        return {}

    monkeypatch.setattr(kind, "nulls", none_together)
    assert nulls(PAIRS, metric) == together and len(asked) == 1
    assert all(row[2] is not None for row in together)
