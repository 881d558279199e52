"""probe_alignment(property, dataset, …): are models that agree with others good for more?

Each trained model has a probe of a label, and an alignment with the trained models of other
families: its mean. The rank correlation of the two over the models says whether alignment tells
what the vectors are good for. In the place of the probe stands, if asked, what heads of the other
families' models gain or lose on the model's vectors. Four alignments are asked: the value as it is,
the calibrated one, what is left once a description is taken out of both, and what is beyond
untrained twins. Models of one family are neither independent in their probes nor in their
alignments: so all is repeated without each family in turn, and a correlation that one family makes
falls there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np

from query.engine.suggestions import unknown_name
from query.reading.selection import Source
from query.statistics.probes.maps import LINEAR
from query.statistics.rank_correlation import spearman, spearman_interval
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.parameters import METRIC, MODELS, REST, K
from query.tables.shared.probes.cross_family import BEYOND_TWIN, CONDITIONAL, CrossFamily, Values
from query.tables.shared.probes.question import GROUPS, PROPERTY, datasets_asked
from query.tables.shared.selecting import Names
from query.tables.vectors.probe import probe
from query.tables.vectors.transfer import transfer

PROBE, TRANSFER = "probe", "transfer"  # what a model's vectors are good for
QUALITIES = (PROBE, TRANSFER)
FEW = 8  # models, below which rank correlations of any size come by chance

# The number of a model, given which models there are; None if it has none.
Quality = Callable[[Source, Collection[Source]], float | None]


@dataclass(frozen=True)
class Row:
    """How alignment and what vectors are good for go together over models."""

    dataset: Annotated[str, "the dataset"]
    property: Annotated[str, "the label of the probes"]
    quality: Annotated[
        str,
        "what alignment is set against: 'probe', or 'transfer', the mean of what heads of other "
        "families' models gain on a model's vectors, mapped linearly, over their own (below 0)",
    ]
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
    quality: Names = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Set alignments of models with those of other families against what they are good for.

    Args:
        connection: A connection to a store.
        property_name: The label.
        dataset: The dataset; None is every one that has the label.
        models: The models; None is all trained ones with vectors there.
        groups: What a fold of the probes never splits; see `read_groups`.
        quality: Names of QUALITIES; None is 'probe'.
        options: How to compare. What is given is for the alignment 'given', by default
            'composition'.

    Returns:
        Per dataset, quality and alignment a row of all models, and one without each family.

    Raises:
        ValueError: The store has no such label, groups, model or dataset.
    """
    asked = options or Options()
    asked.one_metric("probe_alignment")
    for name in quality or ():
        if name not in QUALITIES:
            raise ValueError(unknown_name("quality", name, QUALITIES))
    rows: list[Row] = []
    for name in datasets_asked(connection, dataset, property_name):
        question = _Question(connection, property_name, groups, asked)
        found = CrossFamily(connection, name, models, asked)
        alignments = list(found.alignments())
        for chosen in quality or [PROBE]:
            rows += question.rows(found, alignments, chosen)
    return rows


@dataclass(frozen=True)
class _Question:
    """A label, which models' vectors tell more or less of."""

    connection: duckdb.DuckDBPyConnection
    property_name: str
    groups: str | None
    options: Options

    def rows(
        self, found: CrossFamily, alignments: Sequence[tuple[str, Values]], quality: str
    ) -> Iterator[Row]:
        """Yield the rows of one dataset and quality.

        Args:
            found: The models.
            alignments: Their alignments.
            quality: One of QUALITIES.
        """
        number, score = self._probes(found) if quality == PROBE else self._transfers(found)
        for kind, values in alignments:
            for left_out in (None, *sorted(set(found.families.values()))):
                families = {m: f for m, f in found.families.items() if f != left_out}
                points = _points(families, values, number)
                yield Row(
                    dataset=found.dataset,
                    property=self.property_name,
                    quality=quality,
                    alignment=kind,
                    left_out=left_out,
                    **_correlate(points, kind),
                    score=score,
                    metric=self.options.metric,
                    given=found.given if kind == CONDITIONAL else None,
                )

    def _probes(self, found: CrossFamily) -> tuple[Quality, str | None]:
        """Return how well the label can be read from each model, and by which score."""
        rows = probe(
            self.connection,
            self.property_name,
            found.dataset,
            [source.label for source in found.families],
            groups=self.groups,
            baselines=[],
            permutations=0,
            seed=self.options.seed,
        )
        values = {row.model_id: row.value for row in rows if not row.is_baseline}
        return lambda source, _: values.get(source.label), rows[0].score if rows else None

    def _transfers(self, found: CrossFamily) -> tuple[Quality, str | None]:
        """Return what other families' heads gain on each model's vectors, and of which score."""
        gains: dict[tuple[Source, Source], float] = {}
        score = None
        for a, family in found.families.items():
            for b in (b for b, other in found.families.items() if other != family):
                mapped = transfer(
                    self.connection,
                    a.label,
                    b.label,
                    self.property_name,
                    found.dataset,
                    [LINEAR],
                    groups=self.groups,
                    permutations=0,
                    seed=self.options.seed,
                )[0]
                score = mapped.score
                if mapped.difference is not None:
                    gains[a, b] = mapped.difference

        def mean(source: Source, kept: Collection[Source]) -> float | None:
            some = [gains[source, b] for b in kept if (source, b) in gains]
            return float(np.mean(some)) if some else None

        return mean, score


Point = tuple[float, float, str]


def _points(families: dict[Source, str], values: Values, number: Quality) -> list[Point]:
    """Return of each model its mean alignment with the others, its number and its family."""
    points = []
    for source, family in families.items():
        told = [
            value
            for pair, value in values.items()
            if source in pair and value is not None and set(pair) <= families.keys()
        ]
        score = number(source, families)
        if told and score is not None:
            points.append((float(np.mean(told)), score, family))
    return points


def _correlate(points: Sequence[Point], kind: str) -> dict[str, Any]:
    x, y = [p[0] for p in points], [p[1] for p in points]
    rho, p_value = spearman(x, y) or (None, None)
    low, high = (None, None) if rho is None else spearman_interval(x, y) or (None, None)
    n_families = len({family for _, _, family in points})
    return {
        "spearman": rho,
        "low": low,
        "high": high,
        "p_value": p_value,
        "n_models": len(points),
        "n_families": n_families,
        "warning": _warning(rho, len(points), n_families),
        "reason": None if rho is not None else _why_nothing(kind, len(points)),
    }


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
    "Do models whose vectors tell more of a label, or carry more of it over, agree more with those "
    "of other families: as they are, calibrated, given a description, beyond untrained twins, and "
    "without each family",
    Row,
    (
        PROPERTY,
        Parameter("dataset", "VARCHAR", None, "the dataset; NULL is every one with the label"),
        METRIC,
        K,
        MODELS,
        GROUPS,
        Parameter(
            "quality",
            "VARCHAR[]",
            None,
            "'probe' (default), 'transfer' (slow: every pair of models), or a list of both",
        ),
        *REST,
    ),
    probe_alignment,
)
