"""What a metric is: a number that says how alike two models place the same systems, or a reason why there is none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from torch import Tensor


class Undefined(Exception):
    """The value does not exist for these vectors. The message is the reason, one clause, fit for a result table."""


# A self-alignment smaller than this part of the terms it is the difference of is rounding.
ROUNDING = 1e-10


class Scaled(Protocol):
    """A model's state with the root of its alignment with itself, by estimator; absent where that is not positive."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> Mapping[str, float]: ...


def joint_scale(a: Scaled, b: Scaled, estimator: str | None) -> float:
    """√(align(a, a) · align(b, b)), what normalised metrics divide by. Raises Undefined."""
    for state in (a, b):
        if estimator not in state.scale:
            raise Undefined(f"the {estimator} alignment of {state.name} with itself is not positive")
    return a.scale[str(estimator)] * b.scale[str(estimator)]


class Metric(ABC):
    """One alignment metric; one file of this folder each, found by its module attribute `METRIC`.

    A metric sees vectors that `alignment.prepare` has checked and normalised. What concerns one model alone is found
    once, by `prepare`; every pair and every permutation then starts from two such states.
    """

    name: ClassVar[str]
    estimators: ClassVar[tuple[str, ...]] = ()  # the first is the default; none where there is only one way
    uses_k: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True

    def least_systems(self, k: int) -> int:
        """The smallest number of systems for which the metric says anything."""
        return 4

    @abstractmethod
    def prepare(self, x: Tensor, k: int, name: str = "a") -> Any:
        """Find what pairs need from one model.

        x: (n, d) float64, normalised. k: neighbours, ignored where `uses_k` is false. name: how reasons call the model.
        Raises Undefined.
        """

    @abstractmethod
    def value(self, a: Any, b: Any, estimator: str | None) -> float:
        """The metric of two states over the same systems in the same order. Raises Undefined."""

    @abstractmethod
    def null(self, a: Any, b: Any, estimator: str | None, permutations: Tensor) -> Tensor:
        """The metric with the pairing shuffled.

        permutations: (B, n) int64; in the p-th, row i of a is paired with row permutations[p, i] of b.
        Returns (B,) float64. The states are reused: neighbours and distances are never found again. Raises Undefined.
        """
