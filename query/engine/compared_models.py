"""The models of a comparison: their vectors, read and normalized when they are first needed."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.normalization import (
    near_one,
    norm_warning,
    normalize_resolved,
    require_different,
)
from query.engine.resolution import Resolution
from query.engine.undefined import Undefined

VectorsLike = ArrayLike | Tensor
KEPT_BYTES = 2**30  # of normalized vectors that are kept for the next question

_numbers = itertools.count()


class RecentVectors:
    """Normalized vectors that were asked for last, kept for the next question up to KEPT_BYTES.

    Several comparisons may share one.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], Tensor] = OrderedDict()

    def get(self, key: tuple[int, int]) -> Tensor | None:
        """Return the vectors of a model, or None if they are not kept.

        Args:
            key: The number of the `Models` and that of the model in it.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def make_room(self) -> None:
        """Drop vectors that would not be kept beside others, before others are made."""
        while self._kept and self._size() > KEPT_BYTES:
            self._kept.popitem(last=False)

    def put(self, key: tuple[int, int], x: Tensor) -> None:
        """Keep the vectors of a model, and drop those asked for longest ago if there is no room.

        Args:
            key: The number of the `Models` and that of the model in it.
            x: The vectors, (n, d) float64.
        """
        self._kept[key] = x
        while len(self._kept) > 1 and self._size() > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(vectors.nbytes for vectors in self._kept.values())


@dataclass(frozen=True, slots=True)
class ModelRows:
    """One model of `Models` on some of its systems.

    Attributes:
        models: The models.
        model: The number of the model.
        rows: The systems, (m,) ascending.
    """

    models: Models
    model: int
    rows: NDArray[np.int64]

    def read(self) -> VectorsLike:
        """Return the vectors as they were given, (m, d)."""
        table = self.models.read(self.model)
        return (table.cpu().numpy() if isinstance(table, Tensor) else np.asarray(table))[self.rows]

    def vectors(self) -> Tensor:
        """Return the vectors as they are normalized among all systems, (m, d) float64."""
        x = self.models.vectors(self.model)
        return x if len(self.rows) == len(x) else x[torch.from_numpy(self.rows)]

    def resolution(self) -> Resolution:
        """Return what the precision of these vectors can tell apart."""
        found = self.models.resolution(self.model)
        return found if len(self.rows) == len(found.label) else found.of_rows(self.rows)


class Models:
    """M models over the same n systems, under one normalization.

    Attributes:
        names: How reasons call the models.
        n: The number of systems.
        normalization: One of `normalization.NORMALIZATIONS`.
        recent: Where normalized vectors are kept.
        warnings: By model, a sentence about vectors that may mislead.
    """

    def __init__(
        self,
        tables: Sequence[VectorsLike | Callable[[], VectorsLike]],
        names: Sequence[str],
        n: int,
        normalization: str,
        recent: RecentVectors,
        origins: Sequence[ModelRows] | None = None,
    ) -> None:
        """Take the models; nothing is read yet.

        Args:
            tables: The vectors of each model, (n, d_i), or a function that returns them.
            names: How reasons call the models.
            n: The number of systems.
            normalization: One of `normalization.NORMALIZATIONS`.
            recent: Where normalized vectors are kept.
            origins: Where each model's normalized vectors come from; None if they are read.
        """
        self.names, self.n, self.normalization = list(names), n, normalization
        self.warnings: dict[int, str] = {}
        self.recent = recent
        self._tables, self._origins = list(tables), origins
        self._number = next(_numbers)
        self._reasons: dict[int, str | None] = {}
        self._resolutions: dict[int, Resolution] = {}

    def __len__(self) -> int:
        return len(self._tables)

    def read(self, i: int) -> VectorsLike:
        """Return the vectors of a model as they were given, (n, d).

        Args:
            i: The number of the model.
        """
        table = self._tables[i]
        return table() if callable(table) else table

    def may_have_values(self, i: int) -> bool:
        """Return whether no reason is known why a model has no values; its vectors are not read.

        Args:
            i: The number of the model.
        """
        return self._reasons.get(i) is None

    def reason(self, i: int) -> str | None:
        """Return why a model has no values, or None if it has.

        Args:
            i: The number of the model.
        """
        if i not in self._reasons:
            self._normalize(i)
        return self._reasons[i]

    def vectors(self, i: int) -> Tensor:
        """Return the normalized vectors of a model, not centered: (n, d) float64 on the CPU.

        Args:
            i: The number of the model.

        Raises:
            Undefined: The model has no values.
        """
        kept = self.recent.get((self._number, i))
        if kept is None:
            if self._reasons.get(i) is None:
                self._normalize(i)
            if (reason := self._reasons[i]) is not None:
                raise Undefined(reason)
            kept = self.recent.get((self._number, i))
        assert kept is not None
        return kept

    def resolution(self, i: int) -> Resolution:
        """Return what the precision of a model's vectors can tell apart.

        Args:
            i: The number of the model.

        Raises:
            Undefined: The model has no values.
        """
        if (reason := self.reason(i)) is not None:
            raise Undefined(reason)
        return self._resolutions[i]

    def n_distinct(self, i: int) -> int | None:
        """Return how many distinct normalized vectors a model has, or None if it has no values.

        Args:
            i: The number of the model.
        """
        return self.resolution(i).n_distinct if self.reason(i) is None else None

    def null_spread(self, a: int, b: int) -> float:
        """Return how much further values of unrelated models scatter than those of shuffled pairs.

        Args:
            a: The number of the first model.
            b: The number of the second.
        """
        return 1.0

    def _normalize(self, i: int) -> None:
        name, normalization = self.names[i], self.normalization
        try:
            x, resolution = self._read_normalized(i)
            if len(x) != self.n:
                raise Undefined(
                    f"{self.names[0]} has {self.n} systems and {name} {len(x)}: "
                    "they cannot be paired"
                )
            if i not in self._reasons and (warning := norm_warning(x, name, normalization)):
                self.warnings[i] = warning
            # 'l2' and 'max' leave no large elements; origins have been scaled already.
            if self._origins is None and normalization in ("none", "zscore"):
                resolution = resolution.scaled(near_one(x))
            self._reasons[i], self._resolutions[i] = None, resolution
            self.recent.put((self._number, i), x)
        except Undefined as undefined:
            self._reasons[i] = str(undefined)

    def _read_normalized(self, i: int) -> tuple[Tensor, Resolution]:
        name, normalization = self.names[i], self.normalization
        if self._origins is None:
            self.recent.make_room()
            return normalize_resolved(self.read(i), normalization, name)
        x, resolution = self._origins[i].vectors(), self._origins[i].resolution()
        require_different(x, resolution.blur, resolution.precision, name, normalization)
        return x, resolution
