"""Models over the same systems, and what is found about them once, whatever is asked afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from query.engine.compared_models import KEPT_BYTES, ModelRows, Models, RecentVectors, VectorsLike
from query.engine.devices import find_device
from query.engine.model_sums import ModelSums
from query.engine.neighbors.finder import ListFinder, ListOrigin, NeighborListCache
from query.engine.neighbors.lists import Neighborhoods
from query.engine.protocols import ComparedMetric, FoundStrips, Progress, Unreported
from query.engine.tiles import tile_dtype
from query.engine.undefined import Undefined


@dataclass(frozen=True, slots=True)
class ModelPart:
    """One model of a comparison on some of its systems.

    Attributes:
        comparison: The comparison.
        model: The number of the model in it.
        rows: The systems, (m,) ascending.
    """

    comparison: Comparison
    model: int
    rows: NDArray[np.int64]


class Comparison(Models):
    """Models over the same systems, under one normalization, and what is found about them.

    Vectors, lists, sums and what metrics prepare are found when they are first needed, and kept.
    Data that give no value are a reason and never raised.

    Attributes:
        k: The number of neighbors; None for each metric's own default.
        device: Where products are computed.
        dtype: The precision of tiles of products.
        progress: Who is told how far the work is.
        finder: Who finds the neighbor lists.
        sums: The sums over all pairs of systems.
    """

    def __init__(
        self,
        tables: Sequence[VectorsLike | Callable[[], VectorsLike]],
        *,
        names: Sequence[str] | None = None,
        k: int | None = None,
        normalize: str = "l2",
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        n: int | None = None,
        progress: Progress | None = None,
        cache: NeighborListCache | None = None,
        recent: RecentVectors | None = None,
        tile_side: int | None = None,
        parts: Sequence[ModelPart] | None = None,
        strips: FoundStrips | None = None,
    ) -> None:
        """Take the models; nothing is read yet.

        Args:
            tables: (n, d_i) vectors of each model, row i of all the same system; or functions that
                return them, called whenever they are needed, so that not all need to fit in memory.
            names: How reasons call the models; "model 0", … if None.
            k: The number of neighbors, 1 or more; None for each metric's own default.
            normalize: One of `normalization.NORMALIZATIONS`.
            device: 'cpu', 'cuda' or 'cuda:1'.
            dtype: The precision of tiles of products; None for float64 up to 2,048 systems and
                float32 beyond.
            n: The number of systems; needed if the first table is a function.
            progress: Who is told how far the work is.
            cache: Where neighbor lists outlive the comparison.
            recent: Where normalized vectors are kept; comparisons may share it.
            tile_side: The side of tiles of which all models have one at a time.
            parts: Where each model's normalized vectors and lists come from; see `join`.
            strips: What other processes have found.

        Raises:
            ValueError: A parameter makes no sense.
            RuntimeError: This machine does not have the device.
        """
        if k is not None and k < 1:
            raise ValueError(f"k = {k}, expected at least 1 neighbor")
        names = [f"model {i}" for i in range(len(tables))] if names is None else names
        n = _rows(tables[0]) if n is None else n
        given = parts or ()
        rows = [ModelRows(part.comparison, part.model, part.rows) for part in given] or None
        super().__init__(tables, names, n, normalize, recent or RecentVectors(), rows)
        self.k, self.device, self.dtype = k, find_device(device), dtype or tile_dtype(n)
        self.progress: Progress = progress or Unreported()
        lists = [ListOrigin(p.comparison.finder, p.model, p.rows) for p in given] or None
        shared: dict[str, Any] = {"k": k, "device": self.device, "dtype": self.dtype}
        shared |= {"advance": self.progress.advance, "strips": strips}
        self.finder: ListFinder = ListFinder(self, cache=cache, origins=lists, **shared)
        self.sums = ModelSums(self, self.finder, side=tile_side, **shared)
        self._states: dict[tuple[str, int], Any] = {}
        self._kept, self._room = dict[tuple[Hashable, ...], Any](), KEPT_BYTES

    @classmethod
    def join(
        cls, parts: Sequence[ModelPart], k: int | None = None, strips: FoundStrips | None = None
    ) -> Comparison:
        """Return a comparison of models of others on systems that all have; lists are cut.

        Args:
            parts: The models, in each the same systems.
            k: The number of neighbors; theirs if None.
            strips: What other processes have found.
        """
        first = parts[0].comparison
        everywhere = all(len(part.rows) == part.comparison.n for part in parts)
        reusable = everywhere or first.normalization != "zscore"  # which depends on the systems
        return cls(
            [ModelRows(part.comparison, part.model, part.rows).read for part in parts],
            names=[part.comparison.names[part.model] for part in parts],
            n=len(parts[0].rows),
            k=first.k if k is None else k,
            normalize=first.normalization,
            device=first.device,
            progress=first.progress,
            recent=first.recent,
            parts=parts if reusable else None,
            strips=strips,
        )

    def subset(self, rows: NDArray[np.int64], k: int | None = None) -> Comparison:
        """Return a comparison of the same models on some of the systems.

        Args:
            rows: The systems, (m,) ascending.
            k: The number of neighbors; the same if None.
        """
        return Comparison.join([ModelPart(self, i, rows) for i in range(len(self))], k)

    def k_of(self, metric: ComparedMetric) -> int:
        """Return the number of neighbors that a metric takes.

        Args:
            metric: The metric.
        """
        return metric.default_k if self.k is None else self.k

    def neighbors(self, i: int, geometry: str, k: int) -> Neighborhoods:
        """Return who is among model i's k nearest systems; see `ListFinder.neighbors`.

        Args:
            i: The number of the model.
            geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
            k: The number of neighbors; all others if there are fewer.
        """
        return self.finder.neighbors(i, geometry, k)

    def tied_share(self, i: int, geometry: str, k: int) -> float:
        """Return the share of systems of which the k-th neighbor ties with the next.

        Args:
            i: The number of the model.
            geometry: 'inner' or 'euclidean'.
            k: The number of neighbors.

        Returns:
            From 0 to 1; 0 if so many tie that lists cannot be held.
        """
        with contextlib.suppress(Undefined):
            return float(self.neighbors(i, geometry, k).tied.mean())
        return 0.0

    def lengthen_lists(self, k: int) -> None:
        """Make lists that are not found yet hold k neighbors, so that those of subsets can be cut.

        Args:
            k: The number of neighbors.
        """
        self.finder.lengthen(k)

    def state(self, metric: ComparedMetric, i: int) -> Any:
        """Return what a metric prepares of model i, which is kept.

        Args:
            metric: The metric.
            i: The number of the model.
        """
        key = (metric.name, i)
        if key not in self._states:
            self._states[key] = metric.prepare(self, i)
        return self._states[key]

    def keep(self, key: tuple[Hashable, ...], find: Callable[[], Any]) -> Any:
        """Return what was found under a key, and find it if it was not.

        Args:
            key: What identifies it.
            find: How it is found.
        """
        if key not in self._kept:
            self._kept[key] = find()
        return self._kept[key]

    def require(self, metric: ComparedMetric, a: int, b: int) -> None:
        """Refuse models without values, and too few systems for a metric.

        Args:
            metric: The metric.
            a: The number of the first model.
            b: The number of the second.

        Raises:
            Undefined: The metric has no value of these models.
        """
        reason = self.reason(a) or self.reason(b)
        if reason is not None:
            raise Undefined(reason)
        k = self.k_of(metric)
        least = metric.least_systems(k)
        if self.n < least:
            because = f"k = {k}" if metric.uses_k else metric.name
            raise Undefined(f"n = {self.n} systems in common, but {because} needs at least {least}")

    def keep_if_room(self, key: tuple[Hashable, ...], find: Callable[[], Any]) -> Any:
        """Return the same as `keep`, but keep no more than KEPT_BYTES of such finds.

        What comes first is kept, because of pairs in their order what was used last is needed last.

        Args:
            key: What identifies it.
            find: How it is found; what it returns has `nbytes`.
        """
        if key in self._kept:
            return self._kept[key]
        if (found := find()).nbytes <= self._room:
            self._room -= found.nbytes
            self._kept[key] = found
        return found

    def value(self, metric: ComparedMetric, a: int, b: int, estimator: str | None) -> float:
        """Return a metric of two models.

        Args:
            metric: The metric.
            a: The number of the first model.
            b: The number of the second.
            estimator: One of the metric's estimators, None if it has none.

        Raises:
            Undefined: There is no such value.
        """
        self.require(metric, a, b)
        return metric.value(self, a, b, estimator)

    def prepare(self, metrics: Sequence[ComparedMetric]) -> None:
        """Find everything that these metrics need of all models: lists and states, then sums.

        Args:
            metrics: The metrics.
        """
        usable = [m for m in metrics if self.n >= m.least_systems(self.k_of(m))]
        listed = [metric for metric in usable if metric.lists is not None]
        if usable:
            kinds = frozenset().union(*(metric.needs for metric in usable))
            self.sums.compute(kinds, lambda i: self._prepare_lists(i, listed))

    def products_ahead(self, metrics: Sequence[ComparedMetric]) -> int:
        """Return how many products of two vectors these metrics have yet to make.

        Args:
            metrics: The metrics.
        """
        geometries = {metric.lists for metric in metrics if metric.lists}
        if self.normalization == "l2" and geometries:
            geometries = {"euclidean"}
        usable = [i for i in range(len(self)) if self.may_have_values(i)]
        lists = sum(self.finder.products_ahead(i, g) for i in usable for g in geometries)
        kinds = self.sums.missing(frozenset().union(*(metric.needs for metric in metrics)))
        return lists + (len(usable) if kinds else 0) * self.n**2

    def _prepare_lists(self, i: int, metrics: Sequence[ComparedMetric]) -> None:
        for metric in metrics:
            with contextlib.suppress(Undefined):  # every value that needs it will meet it again
                self.neighbors(i, str(metric.lists), self.k_of(metric))
                self.state(metric, i)


def _rows(table: VectorsLike | Callable[[], VectorsLike]) -> int:
    if callable(table):
        raise ValueError("say n, the number of systems, where the first table is a function")
    shape: Sequence[int] = table.shape if isinstance(table, torch.Tensor) else np.shape(table)
    return shape[0] if shape else 0
