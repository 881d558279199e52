"""Which alignments are asked for, and which models share which systems, before a vector is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb
import numpy as np

from query.engine.compared_models import RecentVectors
from query.engine.comparison import ModelPart
from query.engine.protocols import FoundStrips
from query.metrics import Comparison, choose_estimator, find_metric
from query.metrics.shared.estimates import RowMetric
from query.reading.selection import Selection, Source
from query.reading.vectors import NO_VECTORS, Codes, Reader, StoredVectors
from query.tables.shared.given import find_given
from query.tables.shared.options import Options
from schemas.vectors import VectorFile

ModelPair = tuple[Source, Source]


@dataclass(frozen=True)
class Group:
    """Pairs of models that share exactly the same systems.

    Attributes:
        common: The systems, as codes.
        wanted: The pairs by metric.
    """

    common: Codes
    wanted: dict[str, list[ModelPair]] = field(default_factory=dict)

    @cached_property
    def sources(self) -> list[Source]:
        """The models, in the order in which a comparison numbers them."""
        return unique(pair for pairs in self.wanted.values() for pair in pairs)

    @cached_property
    def together(self) -> list[tuple[list[str], list[ModelPair]]]:
        """Metrics that are asked for the same pairs, so that they share one pass."""
        groups: dict[tuple[ModelPair, ...], list[str]] = {}
        for metric, pairs in self.wanted.items():
            groups.setdefault(tuple(pairs), []).append(metric)
        return [(metrics, list(pairs)) for pairs, metrics in groups.items()]

    def numbered(self, pairs: Iterable[ModelPair]) -> list[tuple[int, int]]:
        """Return pairs by the numbers of their models in the comparison.

        Args:
            pairs: The pairs.
        """
        number = {source: i for i, source in enumerate(self.sources)}
        return [(number[a], number[b]) for a, b in pairs]

    def compare(
        self,
        comparisons: Mapping[Source, Comparison],
        keys: Mapping[Source, Codes],
        strips: FoundStrips | None = None,
    ) -> Comparison:
        """Return the comparison of the models on these systems.

        Args:
            comparisons: A comparison of every model alone on all its systems.
            keys: The models' systems.
            strips: What other processes have found for it.
        """
        return Comparison.join(
            [
                ModelPart(comparisons[source], 0, places(keys[source], self.common))
                for source in self.sources
            ],
            strips=strips,
        )


class Plan:
    """The alignments asked for on some systems, before any vector is read.

    Which systems models share is known from the store's keys.

    Attributes:
        selection: The systems that are asked for.
        options: How to compare.
        keys: The systems of each model.
        asked: Every pair with the metric and pair that is computed in its place.
        groups: The pairs that are computed, by the systems that they share.
        given: What is taken out of all models; None if nothing is.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        selection: Selection,
        pairs: Sequence[ModelPair],
        options: Options,
        missing: str,
    ) -> None:
        """Read the keys of the models.

        Args:
            connection: A connection to a store.
            selection: The systems that are asked for.
            pairs: The pairs of models.
            options: How to compare.
            missing: 'pairwise' or 'common'.

        Raises:
            ValueError: A file of vectors is damaged, or there is no such model as is given.
        """
        self.selection, self.options = selection, options
        self.given = find_given(connection, selection, options)
        given = [] if self.given is None else self.given.sources
        self._stored = StoredVectors(connection, selection)
        self.keys = self._stored.read_keys(list(dict.fromkeys([*unique(pairs), *given])))
        # A symmetric metric is computed once, in one fixed order: the null depends on which side
        # is shuffled.
        self.asked = [
            (pair, (metric, _fixed(metric, pair))) for metric in options.metrics for pair in pairs
        ]
        wanted = {wanted for _, wanted in self.asked}
        self.groups = _share(wanted, self.keys, given, missing)

    def comparisons(
        self,
        strips: Callable[[Source], FoundStrips | None] = lambda source: None,
        reader: type[Reader] = Reader,
    ) -> dict[Source, Comparison]:
        """Return a comparison of every model alone on all its systems.

        Args:
            strips: Returns what other processes have found for a model.
            reader: What reads their vectors.
        """
        return make_comparisons(reader(self._stored), self.keys, self.options, strips)

    @property
    def files(self) -> list[VectorFile]:
        """The files of the models' vectors."""
        return self._stored.files

    def fingerprint(self, source: Source) -> str | None:
        """Return what tells a model's vectors by their files; None if they are in a table.

        Args:
            source: The model.
        """
        return self._stored.fingerprint(source)

    def read_from(self, folder: Path) -> None:
        """Read vectors from copies of their files.

        Args:
            folder: Where they are as below the folder of vectors.
        """
        self._stored.read_from(folder)

    def products(self) -> int:
        """Return about how many products of two vectors the plan takes."""
        if self.options.rows is not None:
            return self._products_from_rows(self.options.rows)
        metrics = [find_metric(name) for name in self.options.metrics]
        lists = {
            "inner" if self.options.normalize == "l2" else metric.lists
            for metric in metrics
            if metric.lists
        }
        sums = any(metric.needs for metric in metrics)
        # 'zscore' depends on the systems, so that lists among all do not serve some.
        whole = [] if self.options.normalize == "zscore" else list(self.keys.values())
        total = sum(codes.size**2 * len(lists) for codes in whole)
        for group in self.groups:
            n = group.common.size
            total += len(group.sources) * n**2 * (sums + (0 if whole else len(lists)))
            for metric, pairs in group.wanted.items():
                k = self.options.k or find_metric(metric).default_k
                total += len(pairs) * n * k * (1 + self.options.permutations)
        return total

    def _products_from_rows(self, rows: int) -> int:
        total = 0
        for group in self.groups:
            n = group.common.size
            for metric in map(find_metric, group.wanted):
                searched = 1  # of n · d² in all
                if isinstance(metric, RowMetric):
                    k = self.options.k or metric.default_k
                    searched = metric.searched(
                        rows, k, choose_estimator(metric, self.options.estimator)
                    )
                total += len(group.sources) * n * min(searched, n)
        return total


def make_comparisons(
    reader: Reader,
    keys: Mapping[Source, Codes],
    options: Options,
    strips: Callable[[Source], FoundStrips | None] = lambda source: None,
) -> dict[Source, Comparison]:
    """Return a comparison of every model alone on all its systems, to be read when it is needed.

    Args:
        reader: What reads their vectors.
        keys: The models' systems.
        options: How to compare.
        strips: Returns what other processes have found for a model.
    """
    recent = RecentVectors()
    return {
        source: Comparison(
            [partial(reader.read, source) if keys[source].size else NO_VECTORS],
            names=[source.label],
            n=keys[source].size,
            recent=recent,
            strips=strips(source),
            **options.for_comparison,
        )
        for source in keys
    }


def _fixed(metric: str, pair: ModelPair) -> ModelPair:
    a, b = pair
    return (b, a) if b < a and find_metric(metric).symmetric else pair


def unique(pairs: Iterable[ModelPair]) -> list[Source]:
    """Return the models of some pairs, each once.

    Args:
        pairs: The pairs.
    """
    return list(dict.fromkeys(source for pair in pairs for source in pair))


def _share(
    wanted: Iterable[tuple[str, ModelPair]],
    keys: Mapping[Source, Codes],
    given: Iterable[Source],
    missing: str,
) -> list[Group]:
    """Return the distinct sets of shared systems, each with its pairs by metric."""
    present = [codes for codes in keys.values() if codes.size]
    everywhere = reduce(intersect, present) if present and missing == "common" else None
    groups: dict[bytes, Group] = {}
    for pair, metrics in groupby(sorted((pair, metric) for metric, pair in wanted), itemgetter(0)):
        common = reduce(intersect, (keys[source] for source in (*pair, *given)))
        if everywhere is not None:
            common = intersect(common, everywhere)
        digest = hashlib.blake2b(common.tobytes()).digest()
        for _, metric in metrics:
            groups.setdefault(digest, Group(common)).wanted.setdefault(metric, []).append(pair)
    return list(groups.values())


def places(codes: Codes, common: Codes) -> Codes:
    """Return where in the codes of a model those are that it shares.

    Args:
        codes: The systems of the model.
        common: Those that it shares.
    """
    return np.flatnonzero(np.isin(codes, common, assume_unique=True))


def intersect(a: Codes, b: Codes) -> Codes:
    """Return the systems that two models share.

    Args:
        a: The systems of the first.
        b: Those of the second.
    """
    return a if np.array_equal(a, b) else np.intersect1d(a, b, assume_unique=True)
