"""What a comparison asks of those that it works for: metrics, and whoever shows the progress."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray


class ComparedMetric(Protocol):
    """What a comparison asks of a metric; `query.metrics.base.Metric` is the class of all."""

    @property
    def name(self) -> str:
        """The name, by which what is prepared is kept."""

    @property
    def uses_k(self) -> bool:
        """Whether the number of neighbors plays a part."""

    @property
    def default_k(self) -> int:
        """The number of neighbors where none is asked for."""

    @property
    def needs(self) -> frozenset[str]:
        """The kinds of sums over all pairs of systems that it starts from, of `sums.KINDS`."""

    @property
    def lists(self) -> str | None:
        """The geometry of the neighbor lists that it starts from: 'inner', 'euclidean' or None."""

    def least_systems(self, k: int) -> int:
        """Return the smallest number of systems for which there is a value.

        Args:
            k: The number of neighbors.
        """

    def prepare(self, comparison: Any, i: int) -> Any:
        """Return what pairs need of one model.

        Args:
            comparison: The `Comparison`.
            i: The number of the model.
        """

    def value(self, comparison: Any, a: int, b: int, estimator: str | None) -> float:
        """Return the value for two models.

        Args:
            comparison: The `Comparison`.
            a: The number of the first model.
            b: The number of the second.
            estimator: One of the metric's estimators, None if it has none.
        """


class FoundStrips(Protocol):
    """What other processes have found for a comparison, in strips of its systems."""

    @property
    def side(self) -> int:
        """The side of the tiles of which all models have one at a time."""

    def lists(self, model: int, geometry: str, k: int) -> Iterable[Any] | None:
        """Return the neighbor lists of a model in strips, in their order, or None.

        Args:
            model: The number of the model.
            geometry: 'inner' or 'euclidean'.
            k: The least number of neighbors.

        Returns:
            `NeighborLists` of distinct vectors; see `neighbors.search.join_lists`.
        """

    def sums(self, kinds: frozenset[str]) -> Iterable[dict[str, NDArray[Any]]] | None:
        """Return the sums of a pass in strips, in their order, or None.

        Args:
            kinds: Of `sums.KINDS`.

        Returns:
            What `ModelSums.in_strips` found.
        """


class Progress(Protocol):
    """Who is told how far the work is, in products of two vectors."""

    def expect(self, products: int) -> object:
        """Take note of what is ahead; what is returned is ignored.

        Args:
            products: How many more products will be made.

        Returns:
            Anything.
        """

    def advance(self, products: int) -> object:
        """Take note of what is done; what is returned is ignored.

        Args:
            products: How many products were made.

        Returns:
            Anything.
        """


class Unreported:
    """A `Progress` that tells nobody."""

    def expect(self, products: int) -> None:
        """Do nothing.

        Args:
            products: How many more products will be made.
        """

    def advance(self, products: int) -> None:
        """Do nothing.

        Args:
            products: How many products were made.
        """
