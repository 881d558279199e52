"""The neighbor lists of the models of a comparison, found when they are first needed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from query.engine.compared_models import Models, VectorsLike
from query.engine.neighbors.lists import Neighborhoods, NeighborLists
from query.engine.neighbors.search import (
    cut_lists,
    find_lists,
    find_some_lists,
    join_lists,
    list_strip,
)
from query.engine.protocols import FoundStrips
from query.engine.undefined import Undefined

DEFAULT_K = 25  # neighbors, which Edamadaka et al. (2025) use throughout


class NeighborListCache(Protocol):
    """Where neighbor lists outlive a comparison."""

    def find(
        self, table: VectorsLike, normalize: str, geometry: str, k: int
    ) -> NeighborLists | None:
        """Return the lists of these vectors if they are kept for k or more neighbors.

        Args:
            table: The vectors as they were given, (n, d).
            normalize: The normalization.
            geometry: 'inner' or 'euclidean'.
            k: The number of neighbors.
        """

    def keep(self, table: VectorsLike, normalize: str, geometry: str, lists: NeighborLists) -> None:
        """Keep lists for the next comparison.

        Args:
            table: The vectors as they were given, (n, d).
            normalize: The normalization.
            geometry: 'inner' or 'euclidean'.
            lists: Their lists.
        """


@dataclass(frozen=True, slots=True)
class ListOrigin:
    """Lists from which those of a model are cut.

    Attributes:
        finder: Who finds them.
        model: The number of the model there.
        rows: The systems that are left, (m,) ascending.
    """

    finder: ListFinder
    model: int
    rows: NDArray[np.int64]


class ListFinder:
    """Finds the neighbor lists of models, and keeps them; cuts them from longer ones if it can."""

    def __init__(
        self,
        models: Models,
        *,
        k: int | None,
        device: torch.device,
        dtype: torch.dtype,
        advance: Callable[[int], object],
        cache: NeighborListCache | None = None,
        origins: Sequence[ListOrigin] | None = None,
        rows: NDArray[np.int64] | None = None,
        strips: FoundStrips | None = None,
    ) -> None:
        """Take the models; nothing is searched yet.

        Args:
            models: The models.
            k: The number of neighbors; DEFAULT_K if None. Lists are made a little longer.
            device: Where tiles of products are computed.
            dtype: The precision of these tiles.
            advance: Called with the number of products of two vectors that were made.
            cache: Where lists outlive the comparison.
            origins: Lists from which each model's lists can be cut.
            rows: The systems that get lists, (r,) ascending; all if None.
            strips: Lists that other processes have found in strips.
        """
        # The models own their finder. Without a circle their vectors go when they go, and not at
        # some later time.
        self._models: Models = weakref.proxy(models)
        self._cache, self._origins = cache, origins
        self._rows, self._strips = rows, strips
        self._device, self._dtype, self._advance = device, dtype, advance
        self._longest = DEFAULT_K if k is None else k
        self._lists: dict[tuple[int, str], NeighborLists | Undefined] = {}
        self._neighborhoods: dict[tuple[int, str, int], Neighborhoods] = {}

    def neighbors(self, i: int, geometry: str, k: int) -> Neighborhoods:
        """Return who is among a model's k nearest systems.

        Among vectors of length 1 both geometries are the same and are found once, by distances,
        which tell close vectors apart where products are all near 1.

        Args:
            i: The number of the model.
            geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
            k: The number of neighbors; all others if there are fewer.

        Raises:
            Undefined: The model has no values, or too many systems tie.
        """
        k = min(k, self._models.n - 1)
        if (i, geometry, k) not in self._neighborhoods:
            found = self._long_lists(i, geometry).first(k)
            if geometry == "inner" and self._models.normalization == "l2":
                found = found._replace(value=1 - found.value / 2)
            self._neighborhoods[i, geometry, k] = found
        return self._neighborhoods[i, geometry, k]

    def lengthen(self, k: int) -> None:
        """Make lists that are not found yet hold k neighbors, so that those of subsets can be cut.

        Args:
            k: The number of neighbors.
        """
        self._longest = max(self._longest, k)
        for origin in self._origins or ():
            origin.finder.lengthen(k)

    def list_strip(self, i: int, geometry: str, number: int, count: int) -> NeighborLists:
        """Return one of several strips of a model's lists; see `search.list_strip`.

        Args:
            i: The number of the model.
            geometry: 'inner' or 'euclidean'.
            number: The number of the strip, from 0.
            count: How many there are.

        Raises:
            Undefined: The model has no values, or too many systems tie.
        """
        models = self._models
        of_model = self._longer(), geometry, models.resolution(i), models.names[i]
        n = models.resolution(i).n_distinct
        part = slice(n * number // count, n * (number + 1) // count)
        how: dict[str, Any] = {"dtype": self._dtype, "device": self._device}
        return list_strip(models.vectors(i), part, *of_model, **how)

    def products_ahead(self, i: int, geometry: str) -> int:
        """Return how many products of two vectors it takes to find a model's lists.

        Args:
            i: The number of the model.
            geometry: 'inner' or 'euclidean'.
        """
        if (i, geometry) in self._lists:
            return 0
        if self._origins is not None:
            return self._origins[i].finder.products_ahead(self._origins[i].model, geometry)
        return self._models.n * (self._models.n if self._rows is None else len(self._rows))

    def _long_lists(self, i: int, geometry: str) -> NeighborLists:
        if self._models.normalization == "l2":
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

    def _find_lists(self, i: int, geometry: str) -> NeighborLists:
        if self._origins is not None:
            return self._cut(i, geometry, self._origins[i])
        k = self._longer()
        strips = None if self._strips is None else self._strips.lists(i, geometry, k)
        if strips is not None:
            models = self._models
            of_model = models.vectors(i), models.resolution(i), models.names[i]
            return join_lists(list(strips), *of_model)
        if self._cache is None:
            return self._search(i, k, geometry)
        table = self._models.read(i)
        found = self._cache.find(table, self._models.normalization, geometry, k)
        if found is not None:
            self._advance(self._models.n**2)
            return found
        lists = self._search(i, k, geometry)
        self._cache.keep(table, self._models.normalization, geometry, lists)
        return lists

    def _longer(self) -> int:
        """Return the length of lists, a little more than is asked for."""
        return min(self._models.n - 1, self._longest + max(8, self._longest // 4))

    def _cut(self, i: int, geometry: str, origin: ListOrigin) -> NeighborLists:
        models = self._models
        lists = origin.finder._long_lists(origin.model, geometry)
        if len(lists.label) == models.n:
            return lists
        k = min(self._longest, models.n - 1)
        if lists.k * models.n < k * len(lists.label):  # most would be too short once cut
            return self._search(i, k, geometry)
        return cut_lists(
            lists, origin.rows, models.vectors(i), k, models.resolution(i), models.names[i]
        )

    def _search(self, i: int, k: int, geometry: str) -> NeighborLists:
        models = self._models
        x, of_model = models.vectors(i), (k, geometry, models.resolution(i), models.names[i])
        how: dict[str, Any] = {"dtype": self._dtype, "device": self._device}
        how["advance"] = self._advance
        if self._rows is None:
            return find_lists(x, *of_model, **how)
        return find_some_lists(x, self._rows, *of_model, **how)
