"""convergence(dataset, …): do better models see matter more alike?

Scores, published or measured, are set against the alignment with a reference. Families confound
the answer: models of one family align with each other, and are often good together.
relation := 'cross-family' leaves the reference's own family out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import Annotated, Any

import duckdb

from query.engine.suggestions import unknown_name
from query.reading.selection import Selection, Source, choose_sources, find_dataset, find_source
from query.statistics.rank_correlation import spearman, spearman_interval
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.numbers import split_names
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import METRIC, ONE_DATASET, REST, K
from query.tables.shared.rows import Aligned
from query.tables.shared.scores import Score, best_model, read_scores

RELATIONS = ("all", "cross-family")  # which models are set against the reference

_FEW = 5  # models, below which no rank correlation is significant and none has an interval
_MODELS = "SELECT model_id, family, default_representation FROM models"
_ABSENT = (None, "")  # family and representation of a model with a score that is not in the store
_ALIGNED = (
    "value",
    "calibrated",
    "p_value",
    "n",
    "metric",
    "estimator",
    "normalization",
    "k",
    "standard_error",
    "rows",
    "given",
    "reason",
)


@dataclass(frozen=True)
class Row:
    """A model with a score, its alignment with the reference, and the correlation of both."""

    model_id: Annotated[str, "the model"]
    score_value: Annotated[float, "its score"]
    unit: Annotated[str, "the unit of the score; '1' for none"]
    value: Annotated[float | None, "its alignment with the reference"]
    calibrated: Annotated[float | None, "the value between chance (0) and identity (1)"]
    p_value: Annotated[float | None, "how often shuffled pairs of systems are as much alike"]
    n: Annotated[int, "systems that are compared"]
    spearman: Annotated[float | None, "rank correlation of score and value over the models"]
    spearman_low: Annotated[float | None, "lower end of its 95 % interval"]
    spearman_high: Annotated[float | None, "upper end of its 95 % interval"]
    spearman_p: Annotated[float | None, "its two-sided p-value by permuting the models"]
    n_models: Annotated[int, "models with both numbers"]
    reference: Annotated[str, "the reference"]
    reference_score: Annotated[float | None, "its own score, on the same test set"]
    reference_reason: Annotated[str, "why it is the reference"]
    relation: Annotated[str, "'all' models, or those of other families: 'cross-family'"]
    family: Annotated[str | None, "the family of the model"]
    dataset: Annotated[str, "the dataset"]
    score: Annotated[str, "the name of the score"]
    test_set: Annotated[str, "what the score was measured on"]
    source: Annotated[str, "who says so"]
    metric: Annotated[str, "the metric"]
    estimator: Annotated[str | None, "the estimator of the metric, if it has several"]
    normalization: Annotated[str, "how vectors were normalized"]
    k: Annotated[int | None, "neighbors per system, of a metric that has them"]
    standard_error: Annotated[float | None, "the error of an estimate from rows; NULL if exact"]
    rows: Annotated[int, "systems whose neighbors were found: n if exact"]
    given: Annotated[str | None, "of what nothing linear is left in both models"]
    given_share: Annotated[float | None, "share of the model that the given explains"]
    warning: Annotated[str | None, "what weakens the correlation"]
    reason: Annotated[str | None, "why there is no value"]


@dataclass(frozen=True)
class _Member:
    """A model with its score, its family and its alignment with the reference."""

    score: Score
    family: str | None
    aligned: Aligned


def convergence(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    reference: str | None = None,
    score: str | None = None,
    test_set: str | None = None,
    source: str | None = None,
    relation: str = "all",
    property_name: str | None = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Set the scores of models against their alignment with a reference.

    The rank correlation is over the models of one test set and unit that have both numbers. It is
    NULL below 3 models, or if all scores or all alignments are equal, and has a warning below 5,
    since even a perfect one is then nothing unusual. It is of the numbers as they
    are: for an error, of which low is good, and a metric that grows with likeness, it is negative
    if better models are more like the reference. A score of which high is good turns the sign, and
    so does a metric that falls with likeness. Its interval is a bootstrap over models, NULL below
    5. Asymmetric metrics are taken from the reference to the model.

    Args:
        connection: A connection to a store.
        dataset: The dataset on which models are aligned.
        reference: The reference; None is the model of the best score that has vectors here, as
            Edamadaka et al. (arXiv 2512.03750) chose theirs.
        score: A score of table `scores`, or 'composition_residual_mae', which is measured here.
        test_set: One test set of the score; None is all.
        source: Who published the score, or made the labels that it is measured with.
        relation: 'all' models, 'cross-family' without the reference's family and twins, or both,
            written as a list.
        property_name: The property of the labels of a measured score.
        options: How to compare.

    Returns:
        One row per relation, metric and model with a score, the reference left out.

    Raises:
        ValueError: If the store lacks what is needed; the message says what to do.
    """
    name = find_dataset(connection, dataset)
    relations = split_names(relation)
    for chosen in relations:
        if chosen not in RELATIONS:
            raise ValueError(unknown_name("relation", chosen, RELATIONS))
    named = None if reference is None else find_source(connection, reference)
    scores = read_scores(connection, name, score, test_set, source, property_name)
    if named is None:
        present = {source.model_id for source in choose_sources(connection, None, name)}
        named = find_source(connection, best_model(name, scores, present))
    models = {model: known for model, *known in connection.execute(_MODELS).fetchall()}
    own_family = models[named.model_id][0]
    members = _align(connection, Selection(name), named, scores, models, options or Options())
    about = _about_reference(named, scores, chosen=reference is None)
    rows: list[Row] = []
    for chosen in relations:
        some = [m for m in members if chosen == "all" or m.family != own_family]
        rows += _rows(some, about, {"reference": named.label, "relation": chosen})
    return rows


@dataclass(frozen=True)
class _Reference:
    """The scores of the reference by test set and unit, and why it is the reference."""

    scores: dict[tuple[str, str], float]
    reason: str


def _about_reference(reference: Source, scores: Sequence[Score], *, chosen: bool) -> _Reference:
    """Return what is known of the reference, which was chosen here or named."""
    own = {
        (score.test_set, score.unit): score.value
        for score in scores
        if score.model_id == reference.model_id
    }
    if not chosen:
        return _Reference(own, "it was named")
    others = [score for score in scores if score.model_id != reference.model_id]
    reason = f"the lowest {scores[0].score} of the models with vectors here"
    if others:
        (best,) = own.values()
        after = min((score for score in others if score.value >= best), key=_by_value, default=None)
        reason += f"; next is {after.model_id} with {after.value:.3g} {after.unit}" if after else ""
    return _Reference(own, reason)


def _by_value(score: Score) -> tuple[float, str]:
    return score.value, score.model_id


def _align(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    reference: Source,
    scores: Sequence[Score],
    models: dict[str, Any],
    options: Options,
) -> list[_Member]:
    """Return the members by metric, then in the order of their scores."""
    scored = [score for score in scores if score.model_id != reference.model_id]
    known = [models.get(score.model_id, _ABSENT) for score in scored]
    pairs = [
        (reference, Source(score.model_id, representation, True))
        for score, (_, representation) in zip(scored, known, strict=True)
    ]
    found = align_pairs(connection, {selection: pairs}, options)
    count = len(options.metrics)
    return [
        _Member(score, family, aligned)
        for score, (family, _), aligned in zip(scored * count, known * count, found, strict=True)
    ]


def _rows(members: Sequence[_Member], reference: _Reference, columns: dict[str, Any]) -> list[Row]:
    groups: dict[tuple[str, ...], list[_Member]] = {}
    for member in members:
        groups.setdefault(_group(member), []).append(member)
    correlations = {group: _correlate(some) for group, some in groups.items()}
    return [
        Row(
            model_id=member.score.model_id,
            score_value=member.score.value,
            unit=member.score.unit,
            family=member.family,
            dataset=member.aligned.dataset,
            score=member.score.score,
            test_set=member.score.test_set,
            source=member.score.source,
            given_share=member.aligned.given_share_b,
            reference_score=reference.scores.get((member.score.test_set, member.score.unit)),
            reference_reason=reference.reason,
            **{name: getattr(member.aligned, name) for name in _ALIGNED},
            **correlations[_group(member)],
            **columns,
        )
        for member in members
    ]


def _group(member: _Member) -> tuple[str, ...]:
    """Return what the models of one correlation have in common."""
    return member.aligned.metric, member.score.test_set, member.score.unit


def _correlate(members: Sequence[_Member]) -> dict[str, Any]:
    both = [
        (member.score.value, member.aligned.value)
        for member in members
        if member.aligned.value is not None
    ]
    scores, values = [score for score, _ in both], [value for _, value in both]
    rho, p = spearman(scores, values) or (None, None)
    low, high = (None, None) if rho is None else spearman_interval(scores, values) or (None, None)
    return {
        "spearman": rho,
        "spearman_p": p,
        "spearman_low": low,
        "spearman_high": high,
        "n_models": len(both),
        "warning": None if rho is None or len(both) >= _FEW else _warn(len(both)),
    }


def _warn(n: int) -> str:
    return (
        f"{n} models are too few for a rank correlation: even a perfect one has p = "
        f"{2 / factorial(n):.2g}; expected {_FEW} models or more"
    )


TABLE_FUNCTION = TableFunction(
    "Do better models see matter more like the reference, by default the best? "
    "relation := 'cross-family' leaves its family out",
    Row,
    (
        ONE_DATASET,
        Parameter("reference", "VARCHAR", None, "a model; NULL is the best that has vectors"),
        Parameter("score", "VARCHAR", None, "a score of table scores, or composition_residual_mae"),
        METRIC,
        K,
        Parameter("test_set", "VARCHAR", None, "one test set of the score; NULL is all"),
        Parameter("source", "VARCHAR", None, "who published the score, or made the labels"),
        Parameter(
            "relation",
            "VARCHAR",
            "all",
            "'all', 'cross-family' (without the reference's family), or a list of both",
        ),
        Parameter(
            "property",
            "VARCHAR",
            None,
            "the labels of a score that is measured",
            argument="property_name",
        ),
        *REST,
    ),
    convergence,
)
