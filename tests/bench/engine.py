"""All pairs at once, against one pair at a time as published, and against bare matrix products."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from query.metrics import METRICS, Comparison, align_all
from query.statistics.null import permutations as draw_orders
from tests.bench import products
from tests.bench.report import Faster, Growth, Row
from tests.bench.rivals import dense, packaged
from tests.bench.stores import vectors

K = METRICS["cknna"].default_k
PERMUTATIONS = 200
TOGETHER = ("cknna", "mutual_knn", "distance_correlation", "information_imbalance", "cka")
WARM_UP = 2_500  # systems: more than the engine treats as few
REPEATS = 3  # of measurements that take a few seconds

Tables = list[NDArray[np.float32]]
Matrix = dict[tuple[int, int], float | None]
T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    models: int = 60
    systems: int = 10_000
    dimensions: int = 512

    @property
    def pairs(self) -> int:
        return math.comb(self.models, 2)

    def __str__(self) -> str:
        return f"{self.models} × {self.systems:,} × {self.dimensions}"

    def tables(self) -> Tables:
        return [vectors(seed, self.systems, self.dimensions) for seed in range(1, self.models + 1)]


def run(size: Size) -> Iterator[Row]:
    _matrix(Size(3, WARM_UP, size.dimensions).tables(), TOGETHER)
    tables = size.tables()
    pair = [_unit(table) for table in tables[:2]]
    yield from _against_products_and_rivals(tables, pair, size)
    yield _permutations(tables[:2])
    del tables
    yield from _growth(size)


def all_metrics(size: Size, device: str) -> Iterator[Row]:
    """Yield every metric of every pair on a device, against the products on the same device."""
    yield from _on_device(size, device, {f"all {len(METRICS)} metrics": list(METRICS)})


def on_gpu() -> Iterator[Row]:
    """Yield metrics of all pairs on a GPU, together and the one that counts ranks alone."""
    asked = {
        f"{len(TOGETHER)} metrics together": TOGETHER,
        "information_imbalance": ["information_imbalance"],
    }
    yield from _on_device(Size(), "cuda", asked | {"all metrics": list(METRICS)})
    yield from _on_device(Size(systems=50_000), "cuda", asked)


def _on_device(size: Size, device: str, asked: dict[str, Sequence[str]]) -> Iterator[Row]:
    """Yield metrics of every pair, by what they are called, against the products."""
    _matrix(Size(3, WARM_UP, size.dimensions).tables(), list(METRICS), device=device)
    tables = size.tables()
    products.seconds(tables[:1], device)
    for name, metrics in asked.items():
        before = products.seconds(tables[::2], device)
        ours, _ = _timed(lambda metrics=metrics: _matrix(tables, metrics, device=device), device)
        bare = before + products.seconds(tables[1::2], device)
        yield Row(f"{name} on {device}, {size} / products", ours, bare, "s", None)


def _against_products_and_rivals(tables: Tables, pair: Tables, size: Size) -> Iterator[Row]:
    """Yield ours against bare products and against rivals.

    Products are timed half before and half after ours, so that a drift of the machine meets both.
    """
    products.seconds(tables[:1])
    halves = [products.seconds(tables[::2])]
    cknna, found = _timed(lambda: _matrix(tables, ["cknna"]))
    halves.append(products.seconds(tables[1::2]))
    together, _ = _timed(lambda: _matrix(tables, TOGETHER))
    halves.append(products.seconds(tables[::2]))
    yield Row(f"cknna, all pairs, {size} / bare products", cknna, halves[0] + halves[1], "s", 1.3)
    note = ", ".join(TOGETHER)
    yield Row(
        f"{len(TOGETHER)} metrics together / bare products",
        together,
        halves[1] + halves[2],
        "s",
        1.6,
        note,
    )

    yield _faster("cknna", "Huh et al.'s dense way", 1000, cknna, found, _dense_cknna(pair), size)
    ours, found = _timed(lambda: _matrix(tables, ["distance_correlation"], estimator="biased"))
    float32 = _timed(lambda: [dense.distance_correlation(*pair)])
    dcor = packaged.time_pair("dcor", *pair)
    yield _faster("distance_correlation", "ReSi's float32 way", 60, ours, found, float32, size)
    yield _faster(
        "distance_correlation",
        f"dcor {dcor.version}",
        500,
        ours,
        found,
        (dcor.seconds, dcor.values),
        size,
    )
    ours, found = _timed(lambda: _matrix(tables, ["information_imbalance"]))
    dadapy = packaged.time_pair("dadapy", *pair)
    rival = (dadapy.seconds, dadapy.values)
    yield _faster(
        "information_imbalance", f"dadapy {dadapy.version}", 200, ours, found, rival, size
    )


def _dense_cknna(pair: Tables) -> tuple[float, list[float]]:
    """Time the dense way without what it adds to its denominator, so that values compare."""
    a, b = (torch.from_numpy(table) for table in pair)
    return _timed(lambda: [dense.cknna(a, b, K, epsilon=0)])


def _faster(
    metric: str,
    rival: str,
    limit: float,
    ours: float,
    found: Matrix,
    theirs: tuple[float, list[float]],
    size: Size,
) -> Row:
    """Return how much faster ours is.

    ours: seconds for all pairs. theirs: seconds and values of the first pair, in both orders if
    they differ.
    """
    seconds, values = theirs
    apart = max(
        abs(found[pair] - value) for pair, value in zip([(0, 1), (1, 0)], values, strict=False)
    )
    note = (
        f"the rival: {seconds:.2f} s per pair, times {size.pairs:,} pairs; "
        f"that pair's values differ by {apart:.0e}"
    )
    return Faster(f"{metric}, all pairs / {rival}", ours, seconds * size.pairs, "s", limit, note)


def _permutations(tables: Tables) -> Row:
    """Return the null of one pair against finding both models' neighbors."""
    testing, finding = (
        statistics.median(times) for times in zip(*map(_null, [tables] * REPEATS), strict=True)
    )
    return Row(
        f"{PERMUTATIONS} permutations of a cknna pair / its neighbors", testing, finding, "s", 0.5
    )


def _null(tables: Tables) -> tuple[float, float]:
    """Return the seconds for the null and for the neighbors."""
    comparison, metric = Comparison(tables), METRICS["cknna"]
    finding, _ = _timed(lambda: [comparison.neighbors(i, "inner", K) for i in range(len(tables))])
    comparison.value(metric, 0, 1, "unbiased")
    testing, _ = _timed(
        lambda: metric.null(
            comparison, 0, 1, "unbiased", draw_orders(comparison.n, PERMUTATIONS, 0)
        )
    )
    return testing, finding


def _growth(size: Size) -> Iterator[Row]:
    """Yield seconds for cknna of all pairs at half and twice the systems, few and many models."""
    models, systems = min(8, size.models), size.systems
    few = _seconds_of(Size(models, systems // 2, size.dimensions), REPEATS)
    many = _seconds_of(Size(models, systems * 2, size.dimensions), 1)
    measure = f"cknna, {models} models: {systems * 2:,} / {systems // 2:,} systems, exponent"
    yield Growth(measure, many, few, "s", 2.1, factor=4)
    more = _seconds_of(Size(4 * models, systems // 2, size.dimensions), REPEATS)
    measure = f"cknna, {systems // 2:,} systems: {4 * models} / {models} models, exponent"
    yield Growth(measure, more, few, "s", 1.1, factor=4)


def _seconds_of(size: Size, repeats: int) -> float:
    tables = size.tables()
    return statistics.median(_timed(lambda: _matrix(tables, ["cknna"]))[0] for _ in range(repeats))


def _matrix(
    tables: Tables, metrics: Sequence[str], estimator: str | None = None, device: str = "cpu"
) -> Matrix:
    """Return the values of the last metric by pair of models, each with its default k.

    They are found from nothing but the tables.
    """
    comparison = Comparison(tables, device=device)
    comparison.prepare([METRICS[name] for name in metrics])
    for name in metrics:
        pairs = (itertools.combinations if METRICS[name].symmetric else itertools.permutations)(
            range(len(tables)), 2
        )
        found = {
            pair: alignment.value
            for _, pair, alignment in align_all(comparison, [name], pairs, estimator=estimator)
        }
    return found


def _timed(call: Callable[[], T], device: str = "cpu") -> tuple[float, T]:
    start = products.now(device)
    found = call()
    return products.now(device) - start, found


def _unit(table: NDArray[np.float32]) -> NDArray[np.float32]:
    return table / np.linalg.norm(table, axis=1, keepdims=True)
