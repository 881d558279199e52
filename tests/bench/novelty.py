"""Novelty, duplicates and a selection of many systems, in the processor's time of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from query.engine.normalization import normalize
from query.statistics.covering import farthest_points
from query.tables.vectors.duplicates import group_duplicates
from query.tables.vectors.novelty import How, judge
from tests.bench.engine import Size
from tests.bench.products import TILE
from tests.bench.report import Row
from tests.bench.stores import vectors

SIZE = Size(1, 100_000, 256)
COPIES = 1000  # systems that are there twice, a little moved
SELECTED = 100


def run(size: Size) -> Iterator[Row]:
    """Yield each question against the bare products that a plain way to answer it takes."""
    torch.set_num_threads(1)
    n, d = size.systems, size.dimensions
    x = vectors(1, n, d)
    copies = min(COPIES, n // 2)
    x[-copies:] = x[:copies] * np.float32(1 + 1e-6) + np.float32(1e-4)
    for how in (How(), How("mahalanobis", None)):
        judge(x[:3000], 2000, how)  # what is loaded and compiled once
    square = _seconds_of_products(torch.from_numpy(x))
    taken = _seconds(lambda: judge(x, n, How()))
    name = f"of {n:,} × {d}"
    yield Row(f"novelty {name} by the rest / bare products", taken, square / 2, "s", 1.5)
    few = min(n // 2, 10_000)
    taken = _seconds(lambda: judge(x, n - few, How()))
    products = (n - few) ** 2 / n**2 / 2 + few * (n - few) / n**2
    measure = f"novelty of {few:,} by the other {n - few:,} / bare products"
    yield Row(measure, taken, square * products, "s", 1.5)
    taken = _seconds(lambda: judge(x, n - few, How("mahalanobis", None)))
    yield Row("the same by 'mahalanobis' / bare products", taken, square * products, "s", 0.2)
    for tolerance in (1e-3, 0.01, 0.03):
        taken = _seconds(lambda at=tolerance: _group(x, at, copies))
        yield Row(
            f"duplicates {name}, tolerance := {tolerance} / bare products",
            taken,
            square / 2,
            "s",
            1.0,
        )
    u = normalize(x).numpy()
    taken = _seconds(lambda: farthest_points(u, SELECTED))
    rival = _seconds(lambda: _plain_points(torch.from_numpy(u), SELECTED))
    yield Row(f"selection of {SELECTED} {name} / torch.cdist per step", taken, rival, "s", 1.0)


def _group(x: np.ndarray, tolerance: float, copies: int) -> None:
    found = group_duplicates(x, tolerance)
    assert found.label.max() + 1 == len(x) - copies


def _seconds_of_products(x: torch.Tensor, tiles: int = 4) -> float:
    """Return the seconds of x xᵀ by tiles that are thrown away, from a few of them."""
    tile = min(TILE, len(x))
    out = torch.zeros(tile, len(x))
    taken = _seconds(lambda: [torch.mm(x[:tile], x.T, out=out) for _ in range(tiles)])
    return taken * len(x) / (tile * tiles)


def _plain_points(x: torch.Tensor, count: int) -> None:
    left = torch.full((len(x), 1), torch.inf, dtype=x.dtype)
    taken = 0
    for _ in range(count):
        left = torch.minimum(left, torch.cdist(x, x[taken : taken + 1]))
        taken = int(left.argmax())


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
