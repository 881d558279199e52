"""probe_alignment(property, dataset, …): are better probes those of models that agree with others?

Each trained model has a probe of a label, and an alignment with the trained models of other
families: its mean. The rank correlation of the two over the models says whether alignment tells
what the vectors are good for. Four alignments are asked: the value as it is, the calibrated one,
what is left once a description is taken out of both, and what is beyond untrained twins. Models of
one family are neither independent in their probes nor in their alignments: so all is repeated
without each family in turn, and a correlation that one family makes falls there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import duckdb
import numpy as np

from query.reading.selection import KIND, Selection, Source, choose_sources
from query.statistics.rank_correlation import spearman, spearman_interval
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import METRIC, MODELS, REST, K
from query.tables.shared.probes.question import GROUPS, PROPERTY, datasets_asked
from query.tables.shared.rows import Aligned
from query.tables.shared.selecting import Names
from query.tables.vectors.probe import probe

VALUE, CALIBRATED, CONDITIONAL, BEYOND_TWIN = "value", "calibrated", "given", "beyond twin"
DEFAULT_GIVEN = "composition"
FEW = 8  # models, below which rank correlations of any size come by chance

_MODELS = f"SELECT model_id, family, untrained_of, {KIND} = 'model' FROM models"

Pair = tuple[Source, Source]
Values = Mapping[Pair, float | None]


@dataclass(frozen=True)
class Row:
    """How alignment and probes go together over models."""

    dataset: Annotated[str, "the dataset"]
    property: Annotated[str, "the label of the probes"]
    alignment: Annotated[str, "'value', 'calibrated', 'given' or 'beyond twin'"]
    left_out: Annotated[str | None, "the family that is left out; NULL if none is"]
    spearman: Annotated[float | None, "rank correlation of alignment and probe over the models"]
    low: Annotated[float | None, "lower end of its 95 % interval"]
    high: Annotated[float | None, "upper end of its 95 % interval"]
    p_value: Annotated[float | None, "its two-sided p-value by permuting the models"]
    n_models: Annotated[int, "models with both numbers"]
    n_families: Annotated[int, "their families"]
    score: Annotated[str | None, "of the probes: 'r2' or 'auc'"]
    metric: Annotated[str, "the metric"]
    given: Annotated[str | None, "of what nothing linear is left, of 'given'"]
    warning: Annotated[str | None, "what weakens the correlation"]
    reason: Annotated[str | None, "why there is none"]


def probe_alignment(
    connection: duckdb.DuckDBPyConnection,
    property_name: str,
    dataset: str | None = None,
    models: Names = None,
    groups: str | None = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Set alignments of models with those of other families against their probes.

    Args:
        connection: A connection to a store.
        property_name: The label.
        dataset: The dataset; None is every one that has the label.
        models: The models; None is all trained ones with vectors there.
        groups: What a fold of the probes never splits; see `read_groups`.
        options: How to compare. What is given is for the alignment 'given', by default
            'composition'.

    Returns:
        Per dataset and alignment a row of all models, and one without each family.

    Raises:
        ValueError: The store has no such label, groups, model or dataset.
    """
    known = {model: rest for model, *rest in connection.execute(_MODELS).fetchall()}
    asked = options or Options()
    asked.one_metric("probe_alignment")
    rows: list[Row] = []
    for name in datasets_asked(connection, dataset, property_name):
        present = choose_sources(connection, models, name)
        trained = [source for source in present if known[source.model_id][2]]
        found = _Found(connection, name, trained, known, asked)
        scores = probe(
            connection,
            property_name,
            name,
            [source.label for source in trained],
            groups=groups,
            baselines=[],
            permutations=0,
            seed=asked.seed,
        )
        values = {row.model_id: row.value for row in scores if not row.is_baseline}
        kind = scores[0].score if scores else None
        for row in found.rows(values):
            rows.append(replace(row, property=property_name, score=kind))
    return rows


class _Found:
    """Alignments of trained models on one dataset."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        dataset: str,
        trained: Sequence[Source],
        known: Mapping[str, Sequence[str | None]],
        options: Options,
    ) -> None:
        self._connection, self._selection = connection, Selection(dataset)
        self._trained, self._options = trained, options
        self._families = {source: str(known[source.model_id][0]) for source in trained}
        twins = [each for each in choose_sources(connection, None, dataset)]
        self._twins = {
            source: next((t for t in twins if known[t.model_id][1] == source.model_id), None)
            for source in trained
        }
        self._given = options.given or DEFAULT_GIVEN
        if options.given is None and DEFAULT_GIVEN not in known:
            self._given = "size"

    def rows(self, probes: Mapping[str, float | None]) -> Iterator[Row]:
        """Yield the rows.

        Args:
            probes: The score of each model's probe.
        """
        families = self._families
        pairs = [
            (a, b)
            for i, a in enumerate(self._trained)
            for b in self._trained[i + 1 :]
            if families[a] != families[b]
        ]
        for kind, values in self._alignments(pairs):
            for left_out in (None, *sorted(set(families.values()))):
                yield self._row(kind, left_out, values, probes)

    def _alignments(self, pairs: Sequence[Pair]) -> Iterator[tuple[str, Values]]:
        plain = replace(self._options, given=None)
        aligned = self._align(pairs, plain)
        yield VALUE, {pair: row.value for pair, row in aligned.items()}
        yield CALIBRATED, {pair: row.calibrated for pair, row in aligned.items()}
        conditional = self._align(pairs, replace(plain, given=self._given, permutations=0))
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
        rows = align_pairs(self._connection, {self._selection: pairs}, options)
        return dict(zip(pairs, rows, strict=True))

    def _row(
        self, kind: str, left_out: str | None, values: Values, probes: Mapping[str, float | None]
    ) -> Row:
        kept = [source for source in self._trained if self._families[source] != left_out]
        points = []
        for source in kept:
            told = [
                value
                for pair, value in values.items()
                if source in pair and value is not None and set(pair) <= set(kept)
            ]
            score = probes.get(source.label)
            if told and score is not None:
                points.append((float(np.mean(told)), score, self._families[source]))
        x, y = [p[0] for p in points], [p[1] for p in points]
        rho, p_value = spearman(x, y) or (None, None)
        low, high = (None, None) if rho is None else spearman_interval(x, y) or (None, None)
        families = {family for _, _, family in points}
        return Row(
            dataset=self._selection.dataset,
            property="",
            alignment=kind,
            left_out=left_out,
            spearman=rho,
            low=low,
            high=high,
            p_value=p_value,
            n_models=len(points),
            n_families=len(families),
            score=None,
            metric=self._options.metric,
            given=self._given if kind == CONDITIONAL else None,
            warning=_warning(rho, len(points), len(families)),
            reason=None if rho is not None else _why_nothing(kind, len(points)),
        )


def _warning(rho: float | None, n_models: int, n_families: int) -> str | None:
    if rho is None or n_models >= FEW:
        return None
    return f"{n_models} models of {n_families} families: a rank correlation of so few says little"


def _why_nothing(kind: str, n_models: int) -> str:
    if n_models >= 3:
        return "all probes or all alignments are equal"
    what = " and twins" if kind == BEYOND_TWIN else ""
    return f"{n_models} trained models have a probe and an alignment with other families{what}"


TABLE_FUNCTION = TableFunction(
    "Do models whose vectors tell more of a label agree more with those of other families: as they "
    "are, calibrated, given a description, beyond untrained twins, and without each family",
    Row,
    (
        PROPERTY,
        Parameter("dataset", "VARCHAR", None, "the dataset; NULL is every one with the label"),
        METRIC,
        K,
        MODELS,
        GROUPS,
        *REST,
    ),
    probe_alignment,
)
