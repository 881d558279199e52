"""Measures of one model: one model's vectors in, value or reason out, with an interval by subsampling beside it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.base import Undefined
from query.metrics.normalize import normalize as scale
from query.metrics.registry import choose_method, find_measure

DEVIATIONS = 1.959964  # either side of the value: 95 % of a normal distribution


class Measure(ABC):
    """One measure; one file of this folder each, found by its module attribute `MEASURE`."""

    name: ClassVar[str]
    about: ClassVar[str]  # what it tells of one model's vectors; a clause for help texts
    methods: ClassVar[tuple[str, ...]]  # the first is the default
    k: ClassVar[int | None] = None  # default number of neighbours; None where no method has any

    @abstractmethod
    def value(self, x: Tensor, method: str, k: int | None, name: str) -> float:
        """The measure of one model.

        x: (n, d) float64, normalised, not all rows the same. k: what `choose_k` gave. name: how reasons call the model.
        Raises Undefined.
        """

    def choose_k(self, method: str, k: int | None) -> int | None:
        """The neighbours that play a part: k, or the default for None; None where the method has none.

        Raises ValueError on a k that makes no sense.
        """
        if k is not None:
            raise ValueError(f"{self.name} has no neighbours, but k = {k} was asked for: leave it out")
        return None

    def subsample_k(self, k: int | None, n: int, size: int) -> int | None:
        """The neighbours in a subsample of `size` of n systems that reach as far as k do in all."""
        return k


@dataclass(frozen=True, slots=True)
class Measured:
    """One value and all that is needed to read it. Where there is no value there is a reason."""

    value: float | None
    reason: str | None
    measure: str
    method: str
    normalization: str
    k: int | None  # None for methods without neighbours
    n: int
    low: float | None = None
    high: float | None = None


def measure(
    x: ArrayLike | Tensor,
    measure: str,
    *,
    method: str | None = None,
    k: int | None = None,
    normalize: str = "none",
    subsamples: int = 0,
    seed: int = 0,
    name: str = "a",
) -> Measured:
    """A measure of one model's vectors, (n, d); method and k: the measure's defaults where None.

    subsamples: how many random halves of the systems, drawn without replacement and always the same for a seed, the
    interval low to high comes from: the value ± 1.96 deviations, where the deviation is that of the delete-d jackknife
    (Shao & Wu, Ann. Stat. 17, 1989), √(m / (n − m)) times the deviation over subsamples of m = ⌊n / 2⌋ systems. It is
    the scatter over samples of n independent systems, not the bias at n. None for fewer than 2 subsamples, and
    where the measure of one of them is undefined. name: how reasons call the model.
    Data that give no value give a reason. Raises ValueError on parameters that make no sense.
    """
    chosen = find_measure(measure)
    way = choose_method(chosen, method)
    used_k = chosen.choose_k(way, k)
    if subsamples < 0:
        raise ValueError(f"subsamples = {subsamples}, expected 0 or more")
    table = x if isinstance(x, Tensor) else np.asarray(x)
    n = table.shape[0] if table.ndim else 0
    value = low = high = reason = None
    try:
        value = chosen.value(scale(table, normalize, name), way, used_k, name)
    except Undefined as undefined:
        reason = str(undefined)
    if value is not None and subsamples > 1:
        deviation = _deviation(table, chosen, way, used_k, normalize, subsamples, seed)
        if deviation is not None:
            low, high = value - DEVIATIONS * deviation, value + DEVIATIONS * deviation
    return Measured(value, reason, chosen.name, way, normalize, used_k, n, low, high)


def bare(
    x: ArrayLike | Tensor, chosen: Measure, *, method: str | None, k: int | None, normalization: str, name: str
) -> float:
    """The value alone. Raises Undefined where there is none, ValueError on parameters that make no sense."""
    found = measure(x, chosen.name, method=method, k=k, normalize=normalization, name=name)
    if found.value is None:
        raise Undefined(found.reason)
    return found.value


def _deviation(
    x: Tensor | np.ndarray, chosen: Measure, method: str, k: int | None, normalization: str, count: int, seed: int
) -> float | None:
    """The delete-d jackknife deviation from `count` halves, each normalised by itself."""
    n = len(x)
    size = n // 2
    generator = torch.Generator().manual_seed(seed)
    halves = [torch.randperm(n, generator=generator)[:size].sort().values.numpy() for _ in range(count)]
    fewer = chosen.subsample_k(k, n, size)
    try:
        values = [chosen.value(scale(x[half], normalization), method, fewer, "a subsample") for half in halves]
    except Undefined:
        return None
    return math.sqrt(size / (n - size)) * float(np.std(values, ddof=1))
