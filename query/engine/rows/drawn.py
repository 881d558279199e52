"""Some systems of a comparison, drawn at random, each with its neighbors among all systems.

A mean over all n systems is estimated without bias by the mean over r of them. Only the rows of the
table of all pairs are drawn and never its columns: among a part of the systems the k nearest are
further away, and a metric of neighbors has another value (CKNNA 0.838 among 1,000 systems in place
of 0.575 among all 20,000 from which they were drawn).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from query.engine.comparison import Comparison
from query.engine.neighbors.finder import ListFinder
from query.engine.neighbors.lists import Neighborhoods
from query.engine.undefined import Undefined
from query.statistics.exchange import Exchange
from query.statistics.interval import subsets


class DrawnRows:
    """Systems drawn at random, the same for all models of a comparison.

    Attributes:
        comparison: The comparison.
        rows: The systems, (r,) ascending.
        n: The number of all systems.
    """

    def __init__(
        self,
        comparison: Comparison,
        count: int,
        *,
        permutations: int = 0,
        seed: int = 0,
        exchange: Exchange | None = None,
    ) -> None:
        """Draw the systems; nothing is searched yet.

        Args:
            comparison: The models over all systems.
            count: The number of systems that are drawn, 1 to n.
            permutations: The number of shuffled pairings.
            seed: The seed of the systems and of the pairings.
            exchange: Which rows may change places; None for any. Its systems are drawn as wholes.
        """
        self.comparison, self.n = comparison, comparison.n
        self._exchange = exchange
        self.rows = (
            subsets(self.n, count, 1, seed)[0] if exchange is None else exchange.draw(count, seed)
        )
        self._permutations, self._seed = permutations, seed
        self._finder = self._make_finder(self.rows)
        self._extended: dict[tuple[int, int], Neighborhoods] = {}
        self._kept: dict[tuple[Hashable, ...], Any] = {}

    @cached_property
    def orders(self) -> NDArray[np.int32]:
        """Shuffled pairings of all systems that keep the drawn ones among themselves, (B, n).

        A permutation test needs no more than that the pairings are a group (Lehmann and Romano,
        Testing Statistical Hypotheses, theorem 15.2.1), so p-values from these are as exact as
        those from pairings of all systems with all.
        """
        rest = np.setdiff1d(np.arange(self.n), self.rows, assume_unique=True)
        if self._exchange is not None:
            return self._exchange.orders([self.rows, rest], self._permutations, self._seed)
        generator = torch.Generator().manual_seed(self._seed)
        orders = np.empty((self._permutations, self.n), np.int32)
        for order in orders:
            for part in (self.rows, rest):
                order[part] = part[torch.randperm(len(part), generator=generator).numpy()]
        return orders

    def lengthen(self, k: int) -> None:
        """Make lists that are not found yet hold k neighbors.

        Args:
            k: The number of neighbors.
        """
        self._finder.lengthen(k)

    def neighbors(self, i: int, geometry: str, k: int) -> Neighborhoods:
        """Return who is near the drawn systems; other systems have no list.

        Args:
            i: The number of the model.
            geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
            k: The number of neighbors.

        Raises:
            Undefined: The model has no values, or too many systems tie.
        """
        return self._finder.neighbors(i, geometry, k)

    def of_all(self, near: Callable[[int], Neighborhoods]) -> list[Neighborhoods]:
        """Return the neighborhoods of all models; those of one without values are empty.

        Args:
            near: What returns them, given the number of a model.
        """
        found = []
        for i in range(len(self.comparison)):
            try:
                found.append(near(i))
            except Undefined:
                found.append(_nobody(self.n))
        return found

    def extended(self, i: int, k: int) -> Neighborhoods:
        """Return who is near the drawn systems and near their neighbors, by inner products.

        Args:
            i: The number of the model.
            k: The number of neighbors.

        Raises:
            Undefined: The model has no values, or too many systems tie.
        """
        if (i, k) not in self._extended:
            rows = self._reach(self.neighbors(i, "inner", k))
            self._extended[i, k] = self._make_finder(rows).neighbors(i, "inner", k)
        return self._extended[i, k]

    def within(self, k: int, most: int) -> DrawnRows:
        """Return these systems, or so many of them that `extended` asks for about `most` or fewer.

        Which of them are left is drawn at random, whole systems where nodes are exchanged so; how
        many depends on all models, so that all are seen by the same ones.

        Args:
            k: The number of neighbors.
            most: The number of systems of each model whose neighbors may be asked for.
        """

        def fewer() -> DrawnRows:
            near = self.of_all(lambda i: self.neighbors(i, "inner", k))
            asked = max(len(self._reach(each)) for each in near)
            return self if asked <= most else self._fewer(max(1, len(self.rows) * most // asked))

        found: DrawnRows = self.keep(("within", k, most), fewer)
        return found

    def _fewer(self, count: int) -> DrawnRows:
        found = copy(self)
        if self._exchange is None:
            (places,) = subsets(len(self.rows), count, 1, self._seed)
        else:
            own = Exchange(self._exchange.systems[self.rows], self._exchange.null)
            places = own.draw(count, self._seed)
        found.rows = self.rows[places]
        found.__dict__.pop("orders", None)
        found._extended, found._kept = {}, {}
        return found

    def _reach(self, near: Neighborhoods) -> NDArray[np.int64]:
        """Return the drawn systems and all that are near them, ascending."""
        parts = (near.who[near.start[row] : near.stop[row]] for row in self.rows)
        return np.unique(np.concatenate([self.rows, *parts]).astype(np.int64))

    def tied_share(self, i: int, geometry: str, k: int) -> float:
        """Return the share of the drawn systems of which the k-th neighbor ties with the next.

        Args:
            i: The number of the model.
            geometry: 'inner' or 'euclidean'.
            k: The number of neighbors.
        """
        return float(self.neighbors(i, geometry, k).tied[self.rows].mean())

    def keep(self, key: tuple[Hashable, ...], find: Callable[[], Any]) -> Any:
        """Return what was found under a key, and find it if it was not.

        Args:
            key: What identifies it.
            find: How it is found.
        """
        if key not in self._kept:
            self._kept[key] = find()
        return self._kept[key]

    def _make_finder(self, rows: NDArray[np.int64]) -> ListFinder:
        comparison = self.comparison
        return ListFinder(
            comparison,
            k=comparison.k,
            device=comparison.device,
            dtype=comparison.dtype,
            advance=comparison.progress.advance,
            rows=rows,
        )


def _nobody(n: int) -> Neighborhoods:
    """Return neighborhoods of n systems that hold nobody."""
    where, none = np.zeros(n, np.int64), np.zeros((n, 0), np.int32)
    plain = np.zeros(n, np.bool_)
    return Neighborhoods(
        none[:0, 0:0].ravel(), np.empty(0), where, where, where, np.zeros(n), plain, none
    )
