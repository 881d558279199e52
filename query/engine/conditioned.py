"""Models less what a given description explains of them; see `query.statistics.conditioning`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine.compared_models import VectorsLike
from query.engine.comparison import Comparison
from query.engine.normalization import as_float64, near_one, normalize
from query.engine.resolution import FLOAT64, precision_of
from query.engine.undefined import Undefined
from query.statistics.conditioning import Description, Left, null_spread

Table = VectorsLike | Callable[[], VectorsLike]
NOTHING = 1e-6  # of the variance: what is less is the rounding of the vectors and of the fit
MUCH = 0.05  # of the degrees of freedom, from which on values change by their loss alone
SOME = 64  # systems, which nearly always show that not all vectors are the same
FEWEST = 4  # systems, below which no metric has a value
SCALED = ("l2", "max")  # the normalizations that scale each vector


class Conditioned:
    """Models over the same n systems, less what a description of these systems explains.

    Attributes:
        shares: By the number of a model, the share of its variance that the description explains,
            from 0 to 1, once its vectors have been asked for.
        warnings: By the number of a model, a sentence if little is left to compare.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        given: Mapping[str, Table],
        *,
        names: Sequence[str],
        n: int,
        normalize: str = "l2",
        **how: Any,
    ) -> None:
        """Take the models; nothing is read yet.

        Args:
            tables: The vectors of each model, (n, d_i), or a function that returns them.
            given: The tables of the description, (n, g), by the names that reasons call them.
            names: How reasons call the models. One that is given has nothing left.
            n: The number of systems.
            normalize: 'l2', 'max' or 'none', for what is left.
            how: The other arguments of a `Comparison`.

        Raises:
            ValueError: The normalization is 'zscore'.
        """
        require_normalization(normalize)
        self.shares: dict[int, float] = {}
        self.warnings: dict[int, str] = {}
        self._tables, self._given, self._names, self._n = tables, given, names, n
        self._how = how | {"names": names, "n": n, "normalize": normalize}
        self._normalization = normalize
        self._last: tuple[tuple[int, bool], Left, np.dtype[Any]] | None = None
        self._lost: dict[int, float] = {}
        self._penalties: dict[int, float] = {}
        self._compared: dict[tuple[bool, bool], Comparison] = {}

    def compare(self, *, whole: bool, shuffled: bool = False) -> Comparison:
        """Return the comparison of what is left of the models.

        Args:
            whole: Whether it is for metrics of whole vectors rather than of products or distances
                of two systems. These alone make use of what is given back.
            shuffled: Whether the systems of the description are shuffled, and as many degrees of
                freedom taken; all models have been asked for without.
        """
        key = whole, shuffled
        if key not in self._compared:
            tables = [partial(self._read, i, *key) for i in range(len(self._tables))]
            self._compared[key] = _Comparison(tables, self._lost, **self._how)
        return self._compared[key]

    def loses_much(self, models: Iterable[int]) -> bool:
        """Return whether one of some models loses so many degrees of freedom that values change.

        Args:
            models: The numbers of models that have been asked for.
        """
        return any(self._lost.get(i, 0.0) > MUCH * self._n for i in models)

    @cached_property
    def _description(self) -> Description | str:
        """The description, or why there is none."""
        try:
            tables = []
            for name, table in self._given.items():
                tables.append(normalize(_read(table), "zscore", name).numpy())
                self._require_paired(name, len(tables[-1]))
        except Undefined as undefined:
            return f"given: {undefined}"
        return Description(tables)

    @cached_property
    def _shuffled(self) -> Description | str:
        order = np.random.default_rng(0).permutation(self._n)
        whole = self._description
        return whole if isinstance(whole, str) else whole.of_systems(order)

    def _read(self, i: int, whole: bool, shuffled: bool) -> VectorsLike:
        """Return what is left of a model, (n, d), in the precision of its vectors."""
        if self._n < FEWEST:
            return _read(self._tables[i])
        last = self._last  # several threads may read
        if last is None or last[0] != (i, shuffled):
            self._last = None
            self._last = last = ((i, shuffled), *self._take_out(i, shuffled))
        _, left, dtype = last
        if left.freedom < FEWEST:
            raise Undefined(f"nothing is left of {self._names[i]}: {self._taking(i)}")
        if left.part < NOTHING:
            raise Undefined(f"nothing is left of {self._names[i]}: {self._all} explains it")
        parts = [left.vectors] if whole else [left.vectors, left.given_back]
        return np.hstack(parts).astype(dtype)

    def _take_out(self, i: int, shuffled: bool) -> tuple[Left, np.dtype[Any]]:
        name = self._names[i]
        if name in self._given:
            self.shares[i] = 1.0
            raise Undefined(f"nothing is left of {name}: it is what is given")
        x = _read(self._tables[i])
        table = as_float64(x, name)
        if _may_be_undefined(x, table.numpy(), self._normalization):
            normalize(x, self._normalization, name)
        self._require_paired(name, len(table))
        description = self._shuffled if shuffled else self._description
        if isinstance(description, str):
            raise Undefined(description)
        near_one(table)
        scaled = self._normalization in SCALED
        penalty = self._penalties.get(i) if shuffled else None
        left = description.take_out(table.numpy(), to_one_length=scaled, penalty=penalty)
        if not shuffled:
            self.shares[i], self._lost[i], self._penalties[i] = left.share, left.lost, left.penalty
            if left.lost > self._n / 2:
                self.warnings[i] = self._taking(i)
        return left, np.dtype(np.float64 if precision_of(x) == FLOAT64 else np.float32)

    def _require_paired(self, name: str, n: int) -> None:
        if n != self._n:
            raise Undefined(
                f"{self._names[0]} has {self._n} systems and {name} {n}: they cannot be paired"
            )

    def _taking(self, i: int) -> str:
        lost = f"{self._lost[i]:.0f} of {self._n - 1} degrees of freedom"
        return f"{self._all} takes {lost} from {self._names[i]}"

    @property
    def _all(self) -> str:
        return " and ".join(self._given)


class _Comparison(Comparison):
    """A comparison of what is left of models."""

    def __init__(self, tables: Sequence[Table], lost: Mapping[int, float], **how: Any) -> None:
        super().__init__(tables, **how)
        self._lost = lost

    def null_spread(self, a: int, b: int) -> float:
        """Return how much further values scatter than those of shuffled pairings; see `Models`."""
        if a not in self._lost or b not in self._lost:
            return 1.0
        return null_spread(self.n, self._lost[a], self._lost[b])


def _may_be_undefined(x: VectorsLike, table: NDArray[np.float64], normalization: str) -> bool:
    """Return whether vectors may have no value as they are, which costs more to know for sure."""
    if normalization in SCALED and not table.any(axis=1).all():
        return True
    some = x[:SOME] if isinstance(x, Tensor) else np.asarray(x)[:SOME]
    try:
        normalize(some, normalization)
    except Undefined:
        return True
    return False


def require_normalization(normalization: str) -> None:
    """Refuse to scale features after something has been taken out of them.

    Args:
        normalization: The normalization.

    Raises:
        ValueError: It is 'zscore'.
    """
    if normalization == "zscore":
        raise ValueError(
            "normalize = 'zscore' would scale up features of which nothing is left, so it does not "
            "go with given: take 'l2', 'max' or 'none'"
        )


def _read(table: Table) -> VectorsLike:
    return table() if callable(table) else table
