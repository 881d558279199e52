"""probe(property, dataset, …): what can be read from frozen vectors by simple regressions.

The definition is in `query.statistics.probes`. A probe of vectors says nothing without what it has
to be better than: the mean label, the size and the composition of the systems, fingerprints, and
the same network untrained. All of them are rows of the same question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import duckdb
import numpy as np

from query.engine.suggestions import unknown_name
from query.engine.undefined import Undefined
from query.reading.properties import find_places
from query.reading.selection import Source, choose_sources
from query.reading.vectors import StoredVectors
from query.statistics.probes.folds import training_means
from query.statistics.probes.scores import interval, resampled_groups
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODELS, SEED, SYSTEMS
from query.tables.shared.probes.baselines import (
    BASELINES,
    choose_baselines,
    describe,
    twins_of,
)
from query.tables.shared.probes.differences import compare_with_best
from query.tables.shared.probes.probed import (
    LOGISTIC,
    MEAN,
    METHODS,
    RIDGE,
    Probed,
    Vectors,
)
from query.tables.shared.probes.question import (
    FOLDS,
    GROUPS,
    LABEL_SOURCE,
    PROPERTY,
    SCALING,
    Question,
    ask,
    datasets_asked,
)
from query.tables.shared.probes.rows import LabelScore, Splits
from query.tables.shared.rows import Notes
from query.tables.shared.selecting import Names, select


@dataclass(frozen=True)
class _Model:
    """The model whose vectors are probed."""

    model_id: Annotated[str, "the model or baseline; model#representation if not its default one"]


@dataclass(frozen=True)
class _Compared:
    """A probe beside shuffled labels and baselines."""

    p_value: Annotated[float | None, "how often shuffled labels are read as well"]
    best_baseline: Annotated[str | None, "the baseline of the highest value on the same systems"]
    difference: Annotated[float | None, "value less that of the best baseline"]
    difference_low: Annotated[float | None, "lower end of the 95 % interval of the difference"]
    difference_high: Annotated[float | None, "upper end of that interval"]
    is_baseline: Annotated[bool, "whether other models are compared with it"]
    n: Annotated[int, "systems with a label and a vector"]
    n_shared: Annotated[int | None, "those of them that the best baseline has, too"]
    method: Annotated[str, "'ridge', 'logistic', 'knn', or 'mean' for the mean label"]
    null_mean: Annotated[float | None, "the mean of the value over shuffled labels"]
    dimension: Annotated[int | None, "elements of a vector"]
    folds: Annotated[int, "in how many parts the systems are split"]


@dataclass(frozen=True)
class Row(Notes, Splits, _Compared, LabelScore, _Model):
    """A probe of a model, and what to know before it is believed."""


def probe(
    connection: duckdb.DuckDBPyConnection,
    property_name: str,
    dataset: str | None = None,
    models: Names = None,
    method: Names = None,
    groups: str | None = None,
    baselines: Names = None,
    folds: int = 5,
    permutations: int = 100,
    source: str | None = None,
    systems: Names = None,
    normalize: str = "zscore",
    seed: int = 0,
) -> Sequence[Row]:
    """Probe every model for a label.

    Args:
        connection: A connection to a store.
        property_name: The label.
        dataset: The dataset; None is every one that has the label.
        models: The models; None is all that have vectors there.
        method: Names of METHODS; None is 'ridge', or 'logistic' for a label of two values.
        groups: What a fold never splits; see `read_groups`.
        baselines: See `choose_baselines`. The mean label is always one, and so is an untrained twin
            of a model if it is among the models.
        folds: In how many parts the systems are split.
        permutations: How many times labels are shuffled for p; 0 gives none.
        source: Who made the labels; None is everyone who is no model.
        systems: Ids of systems; None is all.
        normalize: How vectors are normalized. Under 'zscore' every feature counts alike, as
            baselines need whose features are of different units; rotated vectors give the same
            under 'none' and 'l2'.
        seed: The seed of folds, shuffles and resamples.

    Returns:
        Per dataset and method one row per model and baseline.

    Raises:
        ValueError: The store has no such label, groups, model or dataset.
    """
    for name in method or ():
        if name not in METHODS:
            raise ValueError(unknown_name("method", name, METHODS))
    if permutations < 0:
        raise ValueError(f"permutations = {permutations}, expected 0 or more")
    rows: list[Row] = []
    for name in datasets_asked(connection, dataset, property_name):
        question = ask(
            connection,
            select(name, systems),
            property_name,
            source=source,
            groups=groups,
            folds=folds,
            normalize=normalize,
            seed=seed,
        )
        for chosen in method or [LOGISTIC if question.has_classes else RIDGE]:
            inquiry = _Inquiry(connection, question, chosen, permutations)
            rows += inquiry.rows(models, baselines)
    return rows


class _Inquiry:
    """All models on one dataset, by one method."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        question: Question,
        method: str,
        permutations: int,
    ) -> None:
        self._connection, self._question = connection, question
        self._method, self._permutations = method, permutations
        self._resampled = np.zeros((0, 0))
        if question.groups.size:
            self._resampled = resampled_groups(question.groups, question.seed)

    def rows(self, models: Names, baselines: Names) -> Iterator[Row]:
        """Yield the rows, models first in the order of their names, then baselines."""
        dataset = self._question.labels.selection.dataset
        against = choose_baselines(self._connection, baselines, dataset)
        sources = choose_sources(self._connection, models, dataset)
        probed = dict(
            self._probe_models([*sources, *(s for s in against if isinstance(s, Source))])
        )
        described = [self._describe(name) for name in against if isinstance(name, str)]
        common = [self._mean(), *described, *(probed[s] for s in against if s in probed)]
        trained = twins_of(self._connection)
        for source in sources:
            found = probed[source]
            if source in against:
                continue
            twins = [
                found_twin
                for twin, found_twin in probed.items()
                if trained.get(twin.model_id) == source.model_id
                and twin.representation == source.representation
            ]
            yield self._row(found, [*common, *twins])
        for found in common:
            yield self._row(found, None)

    def _probe_models(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Probed]]:
        stored = StoredVectors(self._connection, self._question.labels.selection)
        unique = list(dict.fromkeys(sources))
        stored.read_keys(unique)  # refuses files that are damaged
        for source in unique:
            places = find_places(self._connection, source, self._question.labels)
            kept = places >= 0
            try:
                table = stored.read(source)
            except Undefined as undefined:
                reason = str(undefined)
                yield source, Probed(source.label, self._method, places[kept], reason=reason)
                continue
            vectors = Vectors(self._question, source.label, table[kept])
            yield source, vectors.probe(places[kept], self._method, self._permutations)

    def _describe(self, name: str) -> Probed:
        places, table = describe(self._question.labels, name)
        vectors = Vectors(self._question, name, table)
        return vectors.probe(places, self._method, self._permutations)

    def _mean(self) -> Probed:
        """Return the mean label of the other folds as a prediction."""
        question = self._question
        places = np.arange(question.values.size)
        reason = question.why_not(places)
        if reason is not None:
            return Probed(MEAN, MEAN, places, reason=reason)
        means = training_means(question.values[:, None], question.folds)[:, 0]
        vectors = Vectors(question, MEAN, question.values[:, None])
        return Probed(MEAN, MEAN, places, judged=vectors.judge(places, means))

    def _row(self, found: Probed, baselines: Sequence[Probed] | None) -> Row:
        question, judged = self._question, found.judged
        low, high = None, None
        n_groups = np.unique(question.groups[found.places]).size
        if judged is not None and found.method != MEAN:
            low, high = interval(judged.values_of(self._resampled), n_groups)
        null = found.null
        warnings = [text for text in (question.warning, found.warning) if text]
        return Row(
            model_id=found.name,
            value=found.value,
            low=low,
            high=high,
            p_value=found.p_value,
            error=None if judged is None else judged.error(),
            **compare_with_best(found, baselines or (), self._resampled),
            is_baseline=baselines is None,
            n=found.places.size,
            n_groups=n_groups,
            method=found.method,
            null_mean=float(null.mean()) if null is not None and null.size else None,
            dimension=found.dimension,
            **question.columns(),
            folds=np.unique(question.folds).size,
            warning="; ".join(warnings) or None,
            reason=found.reason,
        )


TABLE_FUNCTION = TableFunction(
    "How well a label can be read from each model's frozen vectors, in folds that no group "
    "crosses, against the mean, size, composition, fingerprints and untrained twins",
    Row,
    (
        PROPERTY,
        Parameter("dataset", "VARCHAR", None, "the dataset; NULL is every one with the label"),
        MODELS,
        Parameter(
            "method",
            "VARCHAR[]",
            None,
            "'ridge', 'logistic', 'knn'; NULL is ridge, or logistic for a label of two values",
        ),
        GROUPS,
        BASELINES,
        FOLDS,
        Parameter(
            "permutations", "BIGINT", 100, "how often labels are shuffled, which p_value is from"
        ),
        LABEL_SOURCE,
        SYSTEMS,
        SCALING,
        SEED,
    ),
    probe,
)
