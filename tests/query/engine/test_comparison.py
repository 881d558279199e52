"""A comparison: subsets, what is read and when, progress, memory, devices."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from query.engine import compared_models, devices
from query.metrics import METRICS, Comparison, align, align_all
from tests.query.cases import related

Matrix = NDArray[np.float64]

WAYS = [(name, way) for name, metric in METRICS.items() for way in metric.estimators or (None,)]
ways = pytest.mark.parametrize(("metric", "estimator"), WAYS)


@ways
def test_a_subset_is_what_its_vectors_alone_would_give(metric: str, estimator: str | None) -> None:
    """With few systems left, most lists are too short and have to be found anew."""
    a, b = related(80, seed=4, dimensions=(7, 12))
    whole = Comparison([a, b], k=6)
    whole.prepare([METRICS[metric]])
    for kept in (75, 30):
        rows = np.sort(np.random.default_rng(kept).choice(80, kept, replace=False))
        found = whole.subset(rows).value(METRICS[metric], 0, 1, estimator)
        alone = align(a[rows], b[rows], metric, k=6, estimator=estimator).value
        assert found == pytest.approx(alone, rel=1e-11)


@pytest.mark.parametrize("how", ["max", "zscore", "none"])
def test_a_subset_is_normalized_as_its_vectors_alone_would_be(how: str) -> None:
    a, b = related(80, seed=4, dimensions=(7, 12))
    rows = np.arange(0, 80, 2)
    found = (
        Comparison([a, b], k=6, normalize=how)
        .subset(rows)
        .value(METRICS["cknna"], 0, 1, "unbiased")
    )
    assert found == pytest.approx(align(a[rows], b[rows], k=6, normalize=how).value, rel=1e-12)


def test_vectors_that_do_not_fit_in_memory_come_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = related(80, seed=4, dimensions=(7, 12))
    inside = align(a, b, "distance_correlation").value
    monkeypatch.setattr(devices, "_free_memory", lambda: 0)
    monkeypatch.setattr(compared_models, "KEPT_BYTES", 0)
    assert align(a, b, "distance_correlation").value == inside


def test_tables_are_read_when_their_turn_comes() -> None:
    a, b = related(80, seed=4, dimensions=(7, 12))
    asked: list[str] = []

    def give(name: str, x: Matrix) -> Any:
        def read() -> Matrix:
            asked.append(name)
            return x

        return read

    late = Comparison([give("a", a), give("b", b)], n=80)
    assert asked == []
    ((_, _, found),) = align_all(late, ["cknna"], [(0, 1)])
    assert asked == ["a", "b"]
    assert found.value == align(a, b).value
    with pytest.raises(
        ValueError, match="say n, the number of systems, where the first table is a function"
    ):
        Comparison([give("a", a)])


def test_what_is_ahead_is_what_is_done() -> None:
    class Counter:
        ahead = done = 0

        def expect(self, products: int) -> None:
            self.ahead += products

        def advance(self, products: int) -> None:
            self.done += products

    progress = Counter()
    given = Comparison(list(related(200, seed=4, dimensions=(7, 12))), k=6, progress=progress)
    list(align_all(given, list(METRICS), [(0, 1), (1, 1)], permutations=3))
    assert progress.ahead == progress.done > 0


def test_a_device_that_is_not_there() -> None:
    a, b = related(30, seed=4, dimensions=(7, 12))
    with pytest.raises(
        ValueError, match="unknown device 'gpu', expected 'cpu', 'cuda' or 'cuda:1'"
    ):
        align(a, b, device="gpu")
    with pytest.raises(
        RuntimeError, match="no device 'cuda:99': torch sees [0-9]+ NVIDIA GPUs; use 'cpu'"
    ):
        align(a, b, device="cuda:99")


def test_scratch_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "_free_memory", lambda: 0)
    align(*related(80, seed=4, dimensions=(7, 12)), "distance_correlation")
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_leaves_nothing_behind() -> None:
    """Its vectors may be gigabytes; a circle of references would keep them for a while."""
    a, b = related(80, seed=4, dimensions=(7, 12))
    comparison = Comparison([a, b], k=6)
    list(align_all(comparison, list(METRICS), [(0, 1)], permutations=2, subsamples=2))
    list(align_all(comparison, list(METRICS), [(0, 1)], permutations=2, rows=5))
    left, vectors = weakref.ref(comparison), weakref.ref(comparison.vectors(0))
    gc.disable()
    try:
        del comparison
        assert left() is vectors() is None
    finally:
        gc.enable()
