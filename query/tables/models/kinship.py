"""kinship(dataset, …): what explains how alike trained models are.

A common family, common training data, neither, or nobody can tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.metrics import find_metric
from query.reading.selection import Selection, Source, choose_sources, find_dataset
from query.statistics.mantel import Values
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import (
    DEVICE,
    ESTIMATOR,
    GIVEN,
    METRIC,
    MISSING,
    MODELS,
    NORMALIZE,
    ONE_DATASET,
    OPTION_SEED,
    K,
)
from query.tables.shared.relations import (
    RELATIONS,
    UNKNOWN,
    RelatedModels,
    Summary,
    TrainedModel,
    pairs_by_relation,
)
from query.tables.shared.rows import Aligned, Notes
from query.tables.shared.selecting import Names
from query.tables.shared.trees import without_undefined
from zoo.training_sets import find_all_origins

_LEFT_OUT = "left-out"
_MODELS = """
SELECT model_id, family, training_sets, untrained_of, input, card->>'$.weights.files[*].sha256'
FROM models
"""

_Found = dict[tuple[str, str], Aligned]  # by the labels of both models


@dataclass(frozen=True)
class PairRow:
    """A pair of trained models."""

    model_a: Annotated[str, "the first model by name"]
    model_b: Annotated[str, "the other one"]
    family_a: Annotated[str, "the family of the first"]
    family_b: Annotated[str, "the family of the other"]
    common_sets: Annotated[list[str], "training sets of both, or else what theirs are drawn from"]
    value: Annotated[float | None, "their alignment, the mean of both directions"]
    n: Annotated[int, "systems that are compared"]
    given_share_a: Annotated[float | None, "share of the first model that the given explains"]
    given_share_b: Annotated[float | None, "share of the second model that the given explains"]
    reason: Annotated[str | None, "why there is no value"]


@dataclass(frozen=True)
class _Relation:
    """The pairs of one relation."""

    relation: Annotated[str, "how two models are related; 'left-out': models in no pair"]
    mean: Annotated[float | None, "mean alignment of these pairs"]
    low: Annotated[float | None, "lower end of the 95 % interval of the mean"]
    high: Annotated[float | None, "upper end of the 95 % interval of the mean"]
    difference: Annotated[float | None, "the mean less that of 'neither'"]
    p_value: Annotated[float | None, "how often permuted models differ as much, toward likeness"]
    p_least: Annotated[float | None, "the smallest p_value that these permutations can give"]
    n_pairs: Annotated[int | None, "pairs of this relation"]
    median: Annotated[float | None, "median alignment of these pairs"]
    n_models: Annotated[int | None, "models that are compared, or left out"]
    permuted: Annotated[str | None, "what changes places in a permutation"]
    common_model: Annotated[str | None, "the model that all of several pairs have in common"]
    one_network: Annotated[list[str] | None, "pairs of models of the same weights, as 'a and b'"]
    metric: Annotated[str, "the metric"]
    dataset: Annotated[str, "the dataset"]
    estimator: Annotated[str | None, "the estimator of the metric, if it has several"]
    normalization: Annotated[str | None, "how vectors were normalized"]
    k: Annotated[int | None, "neighbors per system, of a metric that has them"]
    given: Annotated[str | None, "of what nothing linear is left in the models"]
    pairs: Annotated[list[PairRow] | None, "these pairs, also those without a value"]


@dataclass(frozen=True)
class Row(Notes, _Relation):
    """The pairs of one relation, and what to know before their numbers are believed."""


def kinship(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    models: Names = None,
    missing: str = "pairwise",
    permutations: int = 9999,
    options: Options | None = None,
) -> Sequence[Row]:
    """Compare how alike trained models are by what they share.

    Two trained models of one family are 'same-family'. Of others, 'same-training-data' have a
    training set in common, one has a part of a set of the other, or sets of both have a source in
    common (zoo/training_sets.toml); 'neither' have none of this, by all that is recorded of their
    sets. Pairs of which nobody can tell, as one was trained on something undisclosed or on a set of
    which there is no record, have a row of their own if there are any.

    The mean of a relation is compared with that of 'neither'; where all models share data, that of
    'same-family' is compared with that of 'same-training-data', and the warning says so. The test
    is Mantel's (`mantel`): for 'same-family' all models change places. For 'same-training-data',
    which is compared with 'neither' among pairs of different families, families stay together, or
    a common family would count as training data. The interval of the mean is a bootstrap over
    models, NULL if fewer than 5 models are in such pairs.

    What else may explain a mean is in the warning: one model that all pairs of a relation have in
    common, two models that read different input or learned from different matter (crystals,
    molecules, text), training data that a family shares, too, and models of the same weights.

    Args:
        connection: A connection to a store.
        dataset: The dataset.
        models: The models; None is all that have vectors there.
        missing: 'pairwise' or 'common'; see `align_pairs`.
        permutations: How many orders of the models a test takes.
        options: How to compare; the null and the interval are left out.

    Returns:
        For each metric one row per relation, and one for the models in no pair, with the reason.

    Raises:
        ValueError: If the store has no such model or dataset.
    """
    name = find_dataset(connection, dataset)
    options = (options or Options()).without_null()
    # In one order, however they are named: the permutations and resamples drawn depend on it.
    sources = sorted(choose_sources(connection, models, name))
    trained, left_out = _read_models(connection, sources)
    pairs = list(itertools.permutations([model.source for model in trained], 2))
    found = align_pairs(connection, {Selection(name): pairs}, options, missing)
    rows = []
    for m, metric in enumerate(options.metrics):
        aligned = found[m * len(pairs) : (m + 1) * len(pairs)]
        columns = {"metric": metric, "dataset": name, **_how(aligned)}
        by_pair = {(row.model_a, row.model_b): row for row in aligned}
        rows += _rows(trained, left_out, by_pair, columns, (permutations, options.seed))
    return rows


def _read_models(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source]
) -> tuple[list[TrainedModel], dict[str, str]]:
    """Return the models trained on something that is known, and why others are left out."""
    known = {model: about for model, *about in connection.execute(_MODELS).fetchall()}
    trained, left_out = [], {}
    for source in sources:
        family, sets, twin_of, read, weights = known[source.model_id]
        if twin_of is not None:
            left_out[source.label] = "untrained"
        elif sets is None:
            left_out[source.label] = "training data not recorded"
        elif not sets:
            left_out[source.label] = "without training data"
        else:
            hashes = frozenset(weights or ())
            trained.append(TrainedModel(source, family, frozenset(sets), read, hashes))
    return trained, left_out


def _how(aligned: Sequence[Aligned]) -> dict[str, Any]:
    """Return the columns that say how the alignments of a metric were computed."""
    columns = ("estimator", "normalization", "k", "given")
    return {column: getattr(aligned[0], column) if aligned else None for column in columns}


def _rows(
    trained: Sequence[TrainedModel],
    left_out: dict[str, str],
    found: _Found,
    columns: dict[str, Any],
    drawn: tuple[int, int],
) -> list[Row]:
    """Return the rows of one metric. drawn: how many permutations, and the seed."""
    labels = [model.source.label for model in trained]
    values, reasons = _as_matrix(labels, found)
    kept, undefined = without_undefined(labels, values, reasons)
    toward = -1 if find_metric(columns["metric"]).lower_is_closer else 1
    related = RelatedModels([trained[i] for i in kept], values[np.ix_(kept, kept)], toward, *drawn)
    rows = [
        Row(
            relation=RELATIONS[kind],
            pairs=[_pair(trained[i], trained[j], found) for i, j in pairs],
            **vars(related.summarize(kind)),
            **columns,
        )
        for kind, pairs in enumerate(pairs_by_relation(trained))
        if kind != UNKNOWN or related.values_of(UNKNOWN).size
    ]
    left_out = left_out | undefined
    if left_out:
        summary = Summary(n_models=len(left_out), reason=_explain(left_out))
        rows.append(Row(relation=_LEFT_OUT, pairs=None, **vars(summary), **columns))
    return rows


def _as_matrix(labels: Sequence[str], found: _Found) -> tuple[Values, NDArray[Any]]:
    """Return the alignment of any two models and why it is undefined, (n, n), symmetric."""
    place = {label: i for i, label in enumerate(labels)}
    values = np.zeros((len(labels), len(labels)))
    reasons = np.full(values.shape, None, dtype=object)
    for (model_a, model_b), row in found.items():
        a, b = place[model_a], place[model_b]
        values[a, b] = np.nan if row.value is None else row.value
        if row.value is None:
            reasons[a, b] = reasons[b, a] = row.reason
    return (values + values.T) / 2, reasons


def _pair(a: TrainedModel, b: TrainedModel, found: _Found) -> PairRow:
    there = found[a.source.label, b.source.label]
    back = found[b.source.label, a.source.label]
    both = [row.value for row in (there, back) if row.value is not None]
    return PairRow(
        model_a=a.source.label,
        model_b=b.source.label,
        family_a=a.family,
        family_b=b.family,
        common_sets=_common_sets(a.training, b.training),
        value=sum(both) / 2 if len(both) == 2 else None,
        n=there.n,
        given_share_a=there.given_share_a,
        given_share_b=there.given_share_b,
        reason=there.reason or back.reason,
    )


def _common_sets(a: frozenset[str], b: frozenset[str]) -> list[str]:
    """Return the training sets in both, or else the sources that sets of both are drawn from."""
    return sorted(a & b or {*find_all_origins(a)} & {*find_all_origins(b)})


def _explain(left_out: dict[str, str]) -> str:
    """Return 'untrained: a, b; …'."""
    by_reason: dict[str, list[str]] = {}
    for label, reason in left_out.items():
        by_reason.setdefault(reason, []).append(label)
    return "; ".join(f"{reason}: {', '.join(labels)}" for reason, labels in by_reason.items())


TABLE_FUNCTION = TableFunction(
    "How alike trained models are by what they share: a family, training data, or neither; "
    "p by permuting the models",
    Row,
    (
        ONE_DATASET,
        MODELS,
        METRIC,
        K,
        Parameter(
            "permutations", "BIGINT", 9999, "orders of the models, which p_value is from", least=0
        ),
        ESTIMATOR,
        NORMALIZE,
        MISSING,
        OPTION_SEED,
        DEVICE,
        GIVEN,
    ),
    kinship,
)
