"""How alike trained models of different families see a dataset, in four ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import duckdb

from query.reading.selection import KIND, Selection, Source, choose_sources
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.rows import Aligned
from query.tables.shared.selecting import Names

VALUE, CALIBRATED, CONDITIONAL, BEYOND_TWIN = "value", "calibrated", "given", "beyond twin"
DEFAULT_GIVEN = "composition"

_MODELS = f"SELECT model_id, family, untrained_of, {KIND} = 'model' FROM models"

Pair = tuple[Source, Source]
Values = Mapping[Pair, float | None]


class CrossFamily:
    """Trained models on one dataset, and the pairs of them that are of two families.

    Attributes:
        dataset: The dataset.
        families: The family of each trained model.
        given: What is taken out of both sides for the alignment 'given'.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        dataset: str,
        models: Names,
        options: Options,
    ) -> None:
        """Find the models.

        Args:
            connection: A connection to a store.
            dataset: The dataset.
            models: The models; None is all with vectors there.
            options: How to compare. What is given is for the alignment 'given', by default
                'composition', or 'size' if the store has no such model.
        """
        known = {model: rest for model, *rest in connection.execute(_MODELS).fetchall()}
        chosen = choose_sources(connection, models, dataset)
        every = choose_sources(connection, None, dataset)
        self._connection, self._options, self.dataset = connection, options, dataset
        self.families = {
            source: str(known[source.model_id][0]) for source in chosen if known[source.model_id][2]
        }
        self._twins = {
            source: next((t for t in every if known[t.model_id][1] == source.model_id), None)
            for source in self.families
        }
        default = DEFAULT_GIVEN if DEFAULT_GIVEN in known else "size"
        self.given = options.given or default

    def alignments(self) -> Iterator[tuple[str, Values]]:
        """Yield each of the four alignments, its name and the values of all pairs."""
        models, families = list(self.families), self.families
        pairs = [
            (a, b)
            for i, a in enumerate(models)
            for b in models[i + 1 :]
            if families[a] != families[b]
        ]
        plain = replace(self._options, given=None)
        aligned = self._align(pairs, plain)
        yield VALUE, {pair: row.value for pair, row in aligned.items()}
        yield CALIBRATED, {pair: row.calibrated for pair, row in aligned.items()}
        conditional = self._align(pairs, replace(plain, given=self.given, permutations=0))
        yield CONDITIONAL, {pair: row.value for pair, row in conditional.items()}
        of_twins: dict[Pair, Pair] = {}
        for a, b in pairs:
            twin_a, twin_b = self._twins[a], self._twins[b]
            if twin_a is not None and twin_b is not None:
                of_twins[a, b] = twin_a, twin_b
        untrained = self._align(list(of_twins.values()), replace(plain, permutations=0))
        beyond: dict[Pair, float | None] = {}
        for pair, twins in of_twins.items():
            both = aligned[pair].value, untrained[twins].value
            beyond[pair] = None if both[0] is None or both[1] is None else both[0] - both[1]
        yield BEYOND_TWIN, beyond

    def _align(self, pairs: Sequence[Pair], options: Options) -> dict[Pair, Aligned]:
        rows = align_pairs(self._connection, {Selection(self.dataset): pairs}, options)
        return dict(zip(pairs, rows, strict=True))
