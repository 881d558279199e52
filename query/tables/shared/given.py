"""What is given: models, or the size of the systems, of which nothing is to be left in others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.compared_models import ModelRows, VectorsLike
from query.engine.conditioned import Conditioned
from query.metrics import Comparison
from query.reading.selection import Selection, Source, find_source
from query.reading.sizes import read_sizes, require_sizes
from query.reading.vectors import Codes
from query.tables.shared.options import Options

SIZE = "size"  # the number of atoms or residues, no model

Rows = Callable[[Source], NDArray[np.int64]]


@dataclass(frozen=True)
class Given:
    """What is given in a question about some systems.

    Attributes:
        connection: A store.
        selection: The systems.
        sources: The models that are given.
        size: Whether the size of the systems is given, too.
    """

    connection: duckdb.DuckDBPyConnection
    selection: Selection
    sources: Sequence[Source]
    size: bool

    def condition(
        self,
        sources: Sequence[Source],
        comparisons: Mapping[Source, Comparison],
        rows: Rows,
        options: Options,
    ) -> Conditioned:
        """Return models less what the given explains.

        Args:
            sources: The models.
            comparisons: A comparison of every model, those given among them, alone on all its
                systems.
            rows: Returns which systems of a model are compared.
            options: How to compare.
        """

        def table(source: Source) -> Callable[[], VectorsLike]:
            return ModelRows(comparisons[source], 0, rows(source)).read

        given = {source.label: table(source) for source in self.sources}
        if self.size:
            given[SIZE] = lambda: self._sizes(sources[0], rows(sources[0]))
        return Conditioned(
            [table(source) for source in sources],
            given,
            names=[source.label for source in sources],
            n=len(rows(sources[0])),
            recent=comparisons[sources[0]].recent,
            **options.for_comparison,
        )

    def _sizes(self, source: Source, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        sizes = read_sizes(self.connection, source, self.selection)
        return require_sizes(sizes[rows], self.selection.dataset)

    def why_nothing(self, keys: Mapping[Source, Codes]) -> str | None:
        """Return why nothing can be compared, if a given model has no vectors.

        Args:
            keys: The systems of each model.
        """
        absent = [source.label for source in self.sources if not keys[source].size]
        if not absent:
            return None
        return f"no vectors of {' or '.join(absent)}, which is given, on {self.selection.dataset}"


def find_given(
    connection: duckdb.DuckDBPyConnection, selection: Selection, options: Options
) -> Given | None:
    """Return what is given in a question, or None if nothing is.

    Args:
        connection: A store.
        selection: The systems.
        options: How to compare.

    Raises:
        ValueError: The store has no such model.
    """
    if not options.given_names:
        return None
    models = [name for name in options.given_names if name != SIZE]
    sources = tuple(dict.fromkeys(find_source(connection, name) for name in models))
    return Given(connection, selection, sources, SIZE in options.given_names)
