"""Models over the same systems, and what is found about them once, whatever is asked of it afterwards."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.lists import Lists, Members
from query.engine.neighbors import center
from query.engine.normalize import near_one, norm_warning, normalize_resolved, require_different
from query.engine.resolution import Resolution
from query.engine.search import cut_lists, find_lists
from query.engine.sums import (
    RANKED,
    Centered,
    Sums,
    feature_products,
    features_are_cheaper,
    sum_pairs,
)
from query.engine.tiles import tile_dtype
from query.engine.undefined import Undefined

Table = ArrayLike | Tensor
SMALL = (
    2**16
)  # bytes of vectors that are held without asking how much memory is free, which takes longer
DEFAULT_K = 25  # neighbors, which Edamadaka et al. (2025) use throughout
KEPT_BYTES = 2**30  # of normalized vectors that are kept for the next question


_numbers = itertools.count()


class Cache(Protocol):
    """Where neighbor lists outlive a comparison."""

    def find(self, table: Table, normalize: str, geometry: str, k: int) -> Lists | None: ...
    def keep(self, table: Table, normalize: str, geometry: str, lists: Lists) -> None: ...


class Metric(Protocol):
    """What the engine asks of a metric; `query.metrics.base.Metric` says what each of these is."""

    @property
    def name(self) -> str: ...
    @property
    def uses_k(self) -> bool: ...
    @property
    def default_k(self) -> int: ...
    @property
    def needs(self) -> frozenset[str]: ...
    @property
    def lists(self) -> str | None: ...
    def least_systems(self, k: int) -> int: ...
    def prepare(self, comparison: Comparison, i: int) -> Any: ...
    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float: ...


class Progress(Protocol):
    """Told what is ahead and what is done, in products of two vectors."""

    def expect(self, products: int) -> object: ...
    def advance(self, products: int) -> object: ...


@dataclass(frozen=True, slots=True)
class ModelPart:
    """One model of a comparison on some of its systems."""

    comparison: Comparison
    model: int
    rows: NDArray[np.int64]  # (m,) ascending

    def read(self) -> Table:
        table = self.comparison.read(self.model)
        return (table.cpu().numpy() if isinstance(table, Tensor) else np.asarray(table))[self.rows]

    def vectors(self) -> Tensor:
        x = self.comparison.vectors(self.model)
        return x if len(self.rows) == len(x) else x[torch.from_numpy(self.rows)]

    def resolution(self) -> Resolution:
        found = self.comparison.resolution(self.model)
        return found if len(self.rows) == len(found.label) else found.among(self.rows)


class RecentVectors:
    """Normalized vectors that are kept for the next question, those asked for last, up to KEPT_BYTES."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    def get(self, key: tuple[int, int]) -> Tensor | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: tuple[int, int], x: Tensor) -> None:
        self._kept[key] = x
        while (
            len(self._kept) > 1
            and sum(vectors.nbytes for vectors in self._kept.values()) > KEPT_BYTES
        ):
            self._kept.popitem(last=False)


class _Scratch:
    """Holds centered vectors during a pass: on the GPU, else in memory, beyond a third of either on disk."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._on_device, self._in_memory = _free(device) // 3, -1
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __enter__(self) -> _Scratch:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def hold(self, z: Tensor) -> Tensor:
        if z.nbytes < self._on_device:
            self._on_device -= z.nbytes
            return z.to(self._device)
        if z.nbytes < SMALL:
            return z
        if self._in_memory < 0:
            self._in_memory = _memory() // 3
        if z.nbytes < self._in_memory:
            self._in_memory -= z.nbytes
            return z
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="matterzoo-")
        self._files += 1
        file = Path(self._folder.name) / str(self._files)
        stored = np.memmap(file, z.numpy().dtype, "w+", shape=tuple(z.shape))
        stored[:] = z.numpy()
        return torch.from_numpy(stored)


class Comparison:
    """M models over the same n systems, under one normalization.

    tables: (n, d_i) each, row i of all the same system; or functions that return one, called when it is needed and as
        often as that is, so that not all need to fit in memory. n: needed where the first is such a function.
    names: how reasons call the models. k: neighbors; None is each metric's own default. Lists are a little longer, so
        that subsets can reuse them.
    device: 'cpu', 'cuda' or 'cuda:1'. dtype: of product tiles; None is float64 up to 2,048 systems and float32 beyond.
    Data that give no value are a reason, never raised. Raises ValueError on parameters that make no sense, RuntimeError
    where the device is not there.
    """

    def __init__(
        self,
        tables: Sequence[Table | Callable[[], Table]],
        *,
        names: Sequence[str] | None = None,
        k: int | None = None,
        normalize: str = "l2",
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        n: int | None = None,
        progress: Progress | None = None,
        cache: Cache | None = None,
        shelf: RecentVectors | None = None,
    ) -> None:
        if k is not None and k < 1:
            raise ValueError(f"k = {k}, expected at least 1 neighbor")
        self._tables = list(tables)
        self.names = (
            list(names) if names is not None else [f"model {i}" for i in range(len(self._tables))]
        )
        self.n = _rows(self._tables[0]) if n is None else n
        self.k, self.normalization = k, normalize
        self._longest = DEFAULT_K if k is None else k
        self.device = find_device(device)
        self.dtype = dtype or tile_dtype(self.n)
        self.tile_side: int | None = None
        self._progress, self._cache = progress, cache
        self._reasons: dict[int, str | None] = {}
        self.warnings: dict[int, str] = {}
        self._shelf = RecentVectors() if shelf is None else shelf
        self._number = next(_numbers)
        self._resolutions: dict[int, Resolution] = {}
        self._lists: dict[tuple[int, str], Lists | Undefined] = {}
        self._members: dict[tuple[int, str, int], Members] = {}
        self._states: dict[tuple[str, int], Any] = {}
        self._kept: dict[tuple[Hashable, ...], Any] = {}
        self._sums: dict[str, Sums] = {}
        self._squares: dict[int, NDArray[np.float64]] = {}
        self._places: dict[int, int] = {}
        self._origins: list[ModelPart] | None = None

    def __len__(self) -> int:
        return len(self._tables)

    def reason(self, i: int) -> str | None:
        """Why model i has no values, None where it has."""
        if i not in self._reasons:
            self._normalize(i)
        return self._reasons[i]

    def vectors(self, i: int) -> Tensor:
        """Model i's vectors, normalized, not centered: (n, d) float64 on the CPU. Raises Undefined."""
        kept = self._shelf.get((self._number, i))
        if kept is None:
            if self._reasons.get(i) is None:
                self._normalize(i)
            if (reason := self._reasons[i]) is not None:
                raise Undefined(reason)
            kept = self._shelf.get((self._number, i))
        assert kept is not None
        return kept

    def k_of(self, metric: Metric) -> int:
        """How many neighbors this metric takes."""
        return metric.default_k if self.k is None else self.k

    def neighbors(self, i: int, geometry: str, k: int) -> Members:
        """Who is among model i's k nearest systems by 'inner' product or 'euclidean' distance. Raises Undefined.

        Among vectors of length 1 both are the same and are found once, by their distances, which tell close vectors
        apart where products are all near 1.
        """
        k = min(k, self.n - 1)
        if (i, geometry, k) not in self._members:
            members = self._long_lists(i, geometry).first(k)
            if geometry == "inner" and self.normalization == "l2":
                members = members._replace(value=1 - members.value / 2)
            self._members[i, geometry, k] = members
        return self._members[i, geometry, k]

    def tied(self, i: int, geometry: str, k: int) -> float:
        """The share of systems whose k-th neighbor in model i ties with the next; 0 where lists cannot be held."""
        try:
            return float(self.neighbors(i, geometry, k).tied.mean())
        except Undefined:
            return 0.0

    def resolution(self, i: int) -> Resolution:
        """What the precision of model i's vectors can tell apart. Raises Undefined."""
        if (reason := self.reason(i)) is not None:
            raise Undefined(reason)
        return self._resolutions[i]

    def n_distinct(self, i: int) -> int | None:
        """How many distinct vectors model i has, normalized; None where it has no values."""
        return self.resolution(i).n_distinct if self.reason(i) is None else None

    def state(self, metric: Metric, i: int) -> Any:
        """What the metric prepares of model i, kept. Raises Undefined."""
        key = (metric.name, i)
        if key not in self._states:
            self._states[key] = metric.prepare(self, i)
        return self._states[key]

    def remember(self, key: tuple[Hashable, ...], find: Callable[[], Any]) -> Any:
        """What was found under this key, found now where it was not."""
        if key not in self._kept:
            self._kept[key] = find()
        return self._kept[key]

    def value(self, metric: Metric, a: int, b: int, estimator: str | None) -> float:
        """The metric of two models. Raises Undefined."""
        for i in (a, b):
            if (reason := self.reason(i)) is not None:
                raise Undefined(reason)
        k = self.k_of(metric)
        least = metric.least_systems(k)
        if self.n < least:
            because = f"k = {k}" if metric.uses_k else metric.name
            raise Undefined(f"n = {self.n} systems in common, but {because} needs at least {least}")
        return metric.value(self, a, b, estimator)

    def survey(self, metrics: Sequence[Metric]) -> None:
        """Find everything that these metrics need of all models: lists, then sums."""
        metrics = [
            metric for metric in metrics if self.n >= metric.least_systems(self.k_of(metric))
        ]
        self._find(metrics, frozenset().union(*(metric.needs for metric in metrics)))

    def compute(self, kinds: Iterable[str]) -> None:
        """Find sums of these kinds for all models in one pass; those that are there already are not found again."""
        self._find([], frozenset(kinds))

    def _find(self, metrics: Sequence[Metric], kinds: frozenset[str]) -> None:
        kinds -= self._sums.keys()
        if not metrics and not kinds:
            return
        with _Scratch(self.device) as scratch:
            models: dict[int, Centered] = {}
            for i in range(
                len(self)
            ):  # one model after the other, so that its vectors are read once
                if self.reason(i) is not None:
                    continue
                for metric in metrics:
                    if metric.lists is not None:
                        with contextlib.suppress(
                            Undefined
                        ):  # which every value that needs it will meet
                            self.neighbors(i, metric.lists, self.k_of(metric))
                            self.state(metric, i)
                if kinds:
                    models[i] = self._center(i, scratch)
            if kinds:
                self._places = {i: place for place, i in enumerate(models)}
                self._sums |= dict.fromkeys(kinds, self._sum(models, kinds))
            models.clear()

    def _center(self, i: int, scratch: _Scratch) -> Centered:
        """Model i's vectors about their mean."""
        x = self.vectors(i)
        z, squares = center(x, x.mean(dim=0), self.dtype)
        self._squares[i] = squares.numpy()
        return Centered(scratch.hold(z), squares)

    def _sum(self, models: dict[int, Centered], kinds: frozenset[str]) -> Sums:
        if not models:
            return Sums()
        if kinds == {"kernels"} and features_are_cheaper(list(models.values())):
            self.advance(len(models) * self.n**2)
            return Sums(kernels=feature_products(list(models.values()), self.device))
        k = self.k if self.k is not None else RANKED
        lists = [self._ranked(i, k) for i in models] if "ranks" in kinds else []
        found = list(models.values())
        return sum_pairs(
            found, kinds, lists, device=self.device, advance=self.advance, side=self.tile_side
        )

    def _ranked(self, i: int, k: int) -> NDArray[np.int32]:
        """Model i's k nearest systems, (n, k); nobody in particular where systems tie."""
        try:
            return self.neighbors(i, "euclidean", k).near
        except Undefined:
            return np.zeros((self.n, k), np.int32)

    def squares(self, i: int) -> NDArray[np.float64]:
        """Squared lengths of model i's vectors about their mean, (n,); found with the sums of kernels."""
        self.compute({"kernels"})
        return self._squares[i]

    def kernel_product(self, a: int, b: int) -> float:
        """Σ_ij K_ij L_ij of the centered kernels of two models, i = j included. Raises Undefined."""
        return float(self.sums("kernels").kernels[self.place(a), self.place(b)])

    def sums(self, kind: str) -> Sums:
        """The sums of one kind; models are numbered by `place`."""
        self.compute({kind})
        return self._sums[kind]

    def place(self, i: int) -> int:
        """Where model i is found in `sums`."""
        return self._places[i]

    @classmethod
    def join(cls, origins: Sequence[ModelPart], k: int | None = None) -> Comparison:
        """Models of other comparisons on systems that all of them have; see `ModelPart`. Lists are cut from theirs.

        k: theirs where None.
        """
        first = origins[0].comparison
        found = cls(
            [origin.read for origin in origins],
            names=[origin.comparison.names[origin.model] for origin in origins],
            n=len(origins[0].rows),
            k=first.k if k is None else k,
            normalize=first.normalization,
            device=first.device,
            progress=first._progress,
            shelf=first._shelf,
        )
        everywhere = all(len(origin.rows) == origin.comparison.n for origin in origins)
        if everywhere or first.normalization != "zscore":  # which depends on the systems
            found._origins = list(origins)
        return found

    def subset(self, rows: NDArray[np.int64], k: int | None = None) -> Comparison:
        """The same models on some systems. rows: (m,) ascending. k: the same where None."""
        return Comparison.join([ModelPart(self, i, rows) for i in range(len(self))], k)

    def read(self, i: int) -> Table:
        """Model i's vectors as they were given."""
        table = self._tables[i]
        return table() if callable(table) else table

    def _normalize(self, i: int) -> None:
        name, how = self.names[i], self.normalization
        try:
            x, resolution = self._read_normalized(i)
            if len(x) != self.n:
                raise Undefined(
                    f"{self.names[0]} has {self.n} systems and {name} {len(x)}: they cannot be paired"
                )
            if i not in self._reasons and (warning := norm_warning(x, name, how)):
                self.warnings[i] = warning
            if self._origins is None and how in (
                "none",
                "zscore",
            ):  # the others leave no large elements
                resolution = resolution.times(near_one(x))
            self._reasons[i], self._resolutions[i] = None, resolution
            self._shelf.put((self._number, i), x)
        except Undefined as undefined:
            self._reasons[i] = str(undefined)

    def lengthen(self, k: int) -> None:
        """Have lists that are not found yet hold k neighbors, so that those of subsets can be cut from them."""
        self._longest = max(self._longest, k)
        for origin in self._origins or ():
            origin.comparison.lengthen(k)

    def _read_normalized(self, i: int) -> tuple[Tensor, Resolution]:
        name, how = self.names[i], self.normalization
        if self._origins is None:
            return normalize_resolved(self.read(i), how, name)
        x, resolution = self._origins[i].vectors(), self._origins[i].resolution()
        require_different(x, resolution.blur, resolution.precision, name, how)
        return x, resolution

    def _long_lists(self, i: int, geometry: str) -> Lists:
        if self.normalization == "l2":
            geometry = "euclidean"
        if (i, geometry) not in self._lists:
            try:
                self._lists[i, geometry] = self._find_lists(i, geometry)
            except Undefined as undefined:
                self._lists[i, geometry] = undefined
        found = self._lists[i, geometry]
        if isinstance(found, Undefined):
            raise Undefined(str(found))
        return found

    def _find_lists(self, i: int, geometry: str) -> Lists:
        if self._origins is not None:
            origin = self._origins[i]
            lists = origin.comparison._long_lists(origin.model, geometry)
            if len(lists.label) == self.n:
                return lists
            k = min(self._longest, self.n - 1)
            if lists.k * self.n < k * len(lists.label):  # most would be too short once cut
                return self._search(i, k, geometry)
            return cut_lists(
                lists, origin.rows, self.vectors(i), k, self.resolution(i), self.names[i]
            )
        k = min(self.n - 1, self._longest + max(8, self._longest // 4))
        if self._cache is None:
            return self._search(i, k, geometry)
        table = self.read(i)
        found = self._cache.find(table, self.normalization, geometry, k)
        if found is not None:
            self.advance(self.n**2)
            return found
        lists = self._search(i, k, geometry)
        self._cache.keep(table, self.normalization, geometry, lists)
        return lists

    def _search(self, i: int, k: int, geometry: str) -> Lists:
        given = self.vectors(i), k, geometry, self.resolution(i), self.names[i]
        return find_lists(*given, dtype=self.dtype, device=self.device, advance=self.advance)

    def foresee(self, metrics: Sequence[Metric]) -> int:
        """How many products of two vectors these metrics have yet to make."""
        geometries = {metric.lists for metric in metrics if metric.lists}
        if self.normalization == "l2" and geometries:
            geometries = {"euclidean"}
        usable = [i for i in range(len(self)) if self._reasons.get(i) is None]
        lists = sum(self._ahead(i, geometry) for i in usable for geometry in geometries)
        kinds = frozenset().union(*(metric.needs for metric in metrics)) - self._sums.keys()
        return lists + (len(usable) if kinds else 0) * self.n**2

    def _ahead(self, i: int, geometry: str) -> int:
        """Products that finding these lists takes."""
        if (i, geometry) in self._lists:
            return 0
        if self._origins is not None:
            return self._origins[i].comparison._ahead(self._origins[i].model, geometry)
        return self.n**2

    def expect(self, products: int) -> None:
        """Tell the progress of what is ahead."""
        if self._progress is not None:
            self._progress.expect(products)

    def advance(self, products: int) -> None:
        """Tell the progress of what is done."""
        if self._progress is not None:
            self._progress.advance(products)


def find_device(device: str | torch.device) -> torch.device:
    """The device of this name. Raises RuntimeError where it is not there, ValueError where there is no such name."""
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"unknown device '{device}', expected 'cpu', 'cuda' or 'cuda:1'"
        ) from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"unknown device '{device}', expected 'cpu', 'cuda' or 'cuda:1'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise RuntimeError(
            f"no device '{device}': torch sees {torch.cuda.device_count()} NVIDIA GPUs; use 'cpu'"
        )
    return found


def _rows(table: Table | Callable[[], Table]) -> int:
    if callable(table):
        raise ValueError("say n, the number of systems, where the first table is a function")
    shape = table.shape if isinstance(table, Tensor) else np.shape(table)
    return shape[0] if shape else 0


def _free(device: torch.device) -> int:
    """Bytes of free memory on a GPU; 0 for the CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def _memory() -> int:
    """Bytes of memory that this machine has free for a new process."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration):
        return 8 * 2**30
