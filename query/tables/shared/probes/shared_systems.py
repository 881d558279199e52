"""Vectors of several models on the systems that all of them have."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.normalization import normalize
from query.reading.properties import Described, find_places
from query.reading.selection import Source
from query.reading.vectors import StoredVectors


class SharedSystems:
    """The systems that several models have vectors of.

    Attributes:
        places: Which of the systems that were asked for these are, (n,), rising.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, among: Described, sources: Sequence[Source]
    ) -> None:
        """Find the systems.

        Args:
            connection: A store.
            among: The systems that were asked for.
            sources: The models.

        Raises:
            ValueError: A file of vectors is damaged.
        """
        every = list(dict.fromkeys(sources))
        self._places = {each: find_places(connection, each, among) for each in every}
        found = reduce(np.intersect1d, (p[p >= 0] for p in self._places.values()))
        self.places: NDArray[np.int64] = found
        self._stored = StoredVectors(connection, among.selection)
        self._stored.read_keys(every)  # refuses files that are damaged

    def read(self, source: Source, normalization: str) -> NDArray[np.float64]:
        """Return normalized vectors of these systems, (n, d).

        Args:
            source: One of the models.
            normalization: One of NORMALIZATIONS.

        Raises:
            Undefined: The vectors cannot be normalized, or differ in length.
        """
        places = self._places[source]
        rows = np.flatnonzero(np.isin(places, self.places))
        table = self._stored.read(source)[rows[np.argsort(places[rows])]]
        found: NDArray[np.float64] = normalize(table, normalization, source.label).numpy()
        return found
