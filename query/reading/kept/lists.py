"""Neighbor lists of the vectors that questions ask for, kept in memory while finds are."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from query.engine.compared_models import VectorsLike
from query.engine.neighbors.finder import NeighborListCache
from query.engine.neighbors.lists import NeighborLists
from query.reading.kept.finds import Finds, open_finds


class KeptLists:
    """Lists by the vectors' own bytes, in front of those in files."""

    def __init__(self, finds: Finds, files: NeighborListCache | None) -> None:
        """Take where lists are kept.

        Args:
            finds: What is kept in memory.
            files: What is kept in files; None if nothing is.
        """
        self._finds, self._files = finds, files

    @classmethod
    def before(cls, files: NeighborListCache | None) -> NeighborListCache | None:
        """Return where lists are kept: in memory while finds are, and in files.

        Args:
            files: What is kept in files; None if nothing is.
        """
        finds = open_finds()
        return files if finds is None else cls(finds, files)

    def find(
        self, table: VectorsLike, normalize: str, geometry: str, k: int
    ) -> NeighborLists | None:
        """See `NeighborListCache.find`.

        Args:
            table: The vectors as they were given, (n, d).
            normalize: The normalization.
            geometry: 'inner' or 'euclidean'.
            k: The number of neighbors.
        """
        key = _key(table, normalize, geometry)
        lists: NeighborLists | None = self._finds.get(key)
        if lists is not None and lists.k >= k:
            return lists
        lists = None if self._files is None else self._files.find(table, normalize, geometry, k)
        if lists is not None:
            self._finds.put(key, lists, _size(lists))
        return lists

    def keep(self, table: VectorsLike, normalize: str, geometry: str, lists: NeighborLists) -> None:
        """See `NeighborListCache.keep`.

        Args:
            table: The vectors as they were given, (n, d).
            normalize: The normalization.
            geometry: 'inner' or 'euclidean'.
            lists: Their lists.
        """
        self._finds.put(_key(table, normalize, geometry), lists, _size(lists))
        if self._files is not None:
            self._files.keep(table, normalize, geometry, lists)


def _key(table: VectorsLike, normalize: str, geometry: str) -> tuple[object, ...]:
    x = table.cpu().numpy() if isinstance(table, torch.Tensor) else np.asarray(table)
    digest = hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16).digest()
    return "lists", digest, x.dtype.str, x.shape, normalize, geometry


def _size(lists: NeighborLists) -> int:
    return sum(
        array.nbytes for array in (lists.index, lists.value, lists.begin, lists.label, lists.slack)
    )
