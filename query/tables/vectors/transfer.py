"""transfer(model_a, model_b, property, …): does a head of one model work on another's vectors?

The definitions of heads and maps are in `query.statistics.probes.maps`. A head that is carried over
stands beside what it has to be compared with: the same head on its own model, a head of the other
model itself, untrained twins in the place of model_a, and maps of systems that were paired wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import unknown_name
from query.engine.undefined import Undefined
from query.reading.selection import Source, choose_sources, find_source
from query.statistics.probes.folds import training_means
from query.statistics.probes.maps import MAPS, Transfer, shuffle_within
from query.statistics.probes.scores import Judged, interval, resampled_groups
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODEL_A, MODEL_B, SEED, SYSTEMS
from query.tables.shared.probes.baselines import twins_of
from query.tables.shared.probes.differences import difference_interval
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
from query.tables.shared.probes.shared_systems import SharedSystems
from query.tables.shared.rows import Notes
from query.tables.shared.selecting import Names, select

Floats = NDArray[np.float64]
Tables = Mapping[Source, Floats]


@dataclass(frozen=True)
class _Head:
    """The vectors, and the head that is applied to them."""

    vectors: Annotated[str, "the model whose vectors are used"]
    head: Annotated[str, "the model whose head it is"]
    map: Annotated[str, "'linear', 'orthogonal' or 'anchors'; 'none' if the head is its own"]


@dataclass(frozen=True)
class _Compared:
    """A head beside shuffled maps, and beside its own model."""

    p_value: Annotated[float | None, "how often a map of shuffled systems does as well"]
    null_mean: Annotated[float | None, "the mean of the value over such maps"]
    difference: Annotated[float | None, "value less that of the head on its own model"]
    difference_low: Annotated[float | None, "lower end of the 95 % interval of the difference"]
    difference_high: Annotated[float | None, "upper end of that interval"]
    mapped: Annotated[float | None, "share of the head's model's variance that the map explains"]
    n: Annotated[int, "systems with a label and vectors of all models"]


@dataclass(frozen=True)
class Row(Notes, Splits, _Compared, LabelScore, _Head):
    """A head on vectors, and what to know before it is believed."""


def transfer(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    property_name: str,
    dataset: str | None = None,
    map_names: Names = None,
    groups: str | None = None,
    folds: int = 5,
    permutations: int = 19,
    source: str | None = None,
    systems: Names = None,
    normalize: str = "zscore",
    seed: int = 0,
) -> Sequence[Row]:
    """Apply heads of model b to vectors of model a.

    Args:
        connection: A connection to a store.
        model_a: The model whose vectors are mapped.
        model_b: The model whose head it is.
        property_name: The label.
        dataset: The dataset; None is every one that has the label.
        map_names: Names of MAPS; None is all.
        groups: What a fold never splits; see `read_groups`.
        folds: In how many parts the systems are split.
        permutations: How many maps of shuffled systems there are; 0 gives no p.
        source: Who made the labels; None is everyone who is no model.
        systems: Ids of systems; None is all.
        normalize: How vectors are normalized.
        seed: The seed of all that is drawn.

    Returns:
        Per dataset: each map, each map from each untrained twin of a, and the own heads of b and a.

    Raises:
        ValueError: The store has no such label, groups, model or dataset.
    """
    for name in map_names or ():
        if name not in MAPS:
            raise ValueError(unknown_name("map", name, MAPS))
    if permutations < 0:
        raise ValueError(f"permutations = {permutations}, expected 0 or more")
    a, b = find_source(connection, model_a), find_source(connection, model_b)
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
        rows += _Heads(connection, question, a, b, permutations).rows(map_names or MAPS)
    return rows


class _Heads:
    """Heads and maps on one dataset, all on the systems that all of its models have."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        question: Question,
        a: Source,
        b: Source,
        permutations: int,
    ) -> None:
        self._question, self._a, self._b = question, a, b
        self._permutations = permutations
        trained, dataset = twins_of(connection), question.labels.selection.dataset
        self._twins = [
            twin
            for twin in choose_sources(connection, None, dataset)
            if trained.get(twin.model_id) == a.model_id and twin.representation == a.representation
        ]
        self._systems = SharedSystems(connection, question.labels, [a, b, *self._twins])
        self._shared = self._systems.places
        groups = question.groups[self._shared]
        self._groups = np.unique(groups, return_inverse=True)[1]
        self._folds = np.unique(question.folds[self._shared], return_inverse=True)[1]

    def rows(self, maps: Sequence[str]) -> Iterator[Row]:
        """Yield the rows."""
        reason = self._question.why_not(self._shared)
        if reason is None:
            try:
                scale = self._question.normalization
                every = dict.fromkeys([self._a, self._b, *self._twins])
                tables = {each: self._systems.read(each, scale) for each in every}
                yield from self._found(tables, maps)
                return
            except Undefined as undefined:
                reason = str(undefined)
        for name in maps:
            yield self._row(self._a, self._b, name, None, reason=reason)

    def _found(self, tables: Tables, maps: Sequence[str]) -> Iterator[Row]:
        a, b = self._a, self._b
        own = self._judge(self._transfer(tables, b, b).own())
        for source in (a, *self._twins):
            heads = self._transfer(tables, source, b)
            for name in maps:
                predicted, mapped = heads.predict(name)
                judged = self._judge(predicted)
                more = self._against_shuffled(heads, name, judged)
                yield self._row(source, b, name, judged, own=own, mapped=mapped, **more)
        yield self._row(b, b, "none", own)
        yield self._row(a, a, "none", self._judge(self._transfer(tables, a, a).own()))

    def _transfer(self, tables: Tables, a: Source, b: Source) -> Transfer:
        labels = self._question.values[self._shared]
        return Transfer(tables[a], tables[b], labels, self._folds, self._question.seed)

    def _judge(self, predicted: Floats) -> Judged:
        labels = self._question.values[self._shared]
        means = training_means(labels[:, None], self._folds)[:, 0]
        classes = self._question.has_classes
        return Judged(labels, predicted, means, self._folds, self._groups, classes)

    def _against_shuffled(self, heads: Transfer, name: str, judged: Judged) -> dict[str, Any]:
        """Return the columns of maps to which b's systems were shuffled."""
        value, null = judged.value(), []
        for i in range(self._permutations):
            order = shuffle_within(self._folds, self._groups, self._question.seed + i)
            shuffled = self._judge(heads.predict(name, order)[0]).value()
            null.append(np.nan if shuffled is None else shuffled)
        if value is None or not null:
            return {}
        as_good = int((np.array(null) >= value).sum())
        return {"p_value": (1 + as_good) / (1 + len(null)), "null_mean": float(np.nanmean(null))}

    def _row(
        self, vectors: Source, head: Source, name: str, judged: Judged | None, **found: Any
    ) -> Row:
        question, own = self._question, found.pop("own", None)
        columns = ("p_value", "null_mean", "mapped", "difference", "difference_low", "reason")
        row: dict[str, Any] = dict.fromkeys((*columns, "difference_high", "low", "high")) | found
        if judged is not None:
            drawn = resampled_groups(self._groups, question.seed)
            row["low"], row["high"] = interval(judged.values_of(drawn), len(drawn[0]))
            if own is not None:
                row["difference"] = (judged.value() or 0.0) - (own.value() or 0.0)
                ends = difference_interval(judged, own, drawn)
                row["difference_low"], row["difference_high"] = ends
        return Row(
            vectors=vectors.label,
            head=head.label,
            map=name,
            value=None if judged is None else judged.value(),
            error=None if judged is None else judged.error(),
            n=self._shared.size,
            n_groups=np.unique(self._groups).size,
            **question.columns(),
            warning=question.warning,
            **row,
        )


TABLE_FUNCTION = TableFunction(
    "Does a head that was fitted to one model's vectors work on another's once these are mapped, "
    "against its own model, the other's own head, untrained twins and shuffled maps",
    Row,
    (
        MODEL_A,
        MODEL_B,
        PROPERTY,
        Parameter("dataset", "VARCHAR", None, "the dataset; NULL is every one with the label"),
        Parameter(
            "map",
            "VARCHAR[]",
            None,
            "'linear', 'orthogonal', 'anchors'; NULL is all",
            argument="map_names",
        ),
        GROUPS,
        FOLDS,
        Parameter("permutations", "BIGINT", 19, "maps of shuffled systems, which p_value is from"),
        LABEL_SOURCE,
        SYSTEMS,
        SCALING,
        SEED,
    ),
    transfer,
)
