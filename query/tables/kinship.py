"""What explains how alike models are: a common family, common training data, neither, or nobody can tell."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from query.metrics import find_metric
from query.reading import training
from query.reading.selection import Selection, Source, choose_sources, find_dataset
from query.statistics import mantel
from query.statistics.mantel import Numbers, Values
from query.tables.options import How
from query.tables.pairs import Row, align_pairs
from query.tables.questions import Names, without_undefined

ROW = (
    "STRUCT(relation VARCHAR, mean DOUBLE, low DOUBLE, high DOUBLE, difference DOUBLE, p_value DOUBLE, n_pairs BIGINT, "
    "median DOUBLE, n_models BIGINT, permuted VARCHAR, metric VARCHAR, dataset VARCHAR, estimator VARCHAR, "
    "normalization VARCHAR, k BIGINT, pairs STRUCT(model_a VARCHAR, model_b VARCHAR, family_a VARCHAR, "
    "family_b VARCHAR, common_sets VARCHAR[], value DOUBLE, n BIGINT, reason VARCHAR)[], warning VARCHAR, reason VARCHAR)"
)
COLUMNS = (
    "mean", "low", "high", "difference", "p_value", "n_pairs", "median", "permuted", "pairs", "warning", "reason",
)  # fmt: skip
EMPTY: Row = dict.fromkeys(COLUMNS)
RELATIONS = ("same-family", training.SHARED, training.NEITHER, training.UNKNOWN)
FAMILY, TRAINING, NEITHER, UNKNOWN = range(len(RELATIONS))
TESTED = (FAMILY, TRAINING)
LEFT_OUT = "left-out"
PERMUTED = {FAMILY: "all models", TRAINING: "models within families, and families of one size"}
MODELS = "SELECT model_id, family, training_sets, untrained_of FROM models"
PERMUTATIONS = 9999
LEAST_MODELS = 5  # that a bootstrap starts from
COARSE = 0.01  # the smallest p that can be reached is said where it is above


@dataclass(frozen=True)
class Model:
    """A model that takes part: who made it, and what it was trained on."""

    source: Source
    family: str
    training: frozenset[str]


def kinship(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None,
    models: Names,
    missing: str | None,
    permutations: int | None,
    how: How,
) -> list[Row]:
    """Rows of `ROW`, for each metric one a relation, and one for the models that took no part, with the reason.

    Of two models that were trained, 'same-family' is one family. Of others, 'same-training-data' is a training set that
    both have, that is a part of one of the other, or that has a source in common with one of the other (training.py,
    training_sets.toml); 'neither' is none of this. Pairs of which nobody can tell, as one was trained on something that
    is not disclosed, have a row of their own if there are any. Asymmetric metrics count by the mean of both directions.

    difference: the mean less that of 'neither'; where all models share data, that of 'same-family' less that of 'same
    training data', and the warning says so. p_value: how often permuted models differ as much, toward likeness; see
    `mantel`. For 'same-family' all models change places. For 'same-training-data', which is compared with 'neither'
    among pairs of different families, families stay together, or kinship would count as training data. low to high:
    95 % interval of the mean by a bootstrap over models; NULL where fewer than 5 models are in such pairs.
    """
    name = find_dataset(connection, dataset)
    count = PERMUTATIONS if permutations is None else permutations
    if count < 0:
        raise ValueError(f"permutations = {count}, expected 0 or more")
    # In one order, however they are named: the permutations and resamples drawn depend on it.
    trained, left_out = _trained(connection, sorted(choose_sources(connection, models, name)))
    sources = [model.source for model in trained]
    pairs = list(itertools.permutations(sources, 2))
    found = align_pairs(connection, {Selection(name): pairs}, how, missing)
    rows = []
    for m, metric in enumerate(how.metrics):
        aligned = found[m * len(pairs) : (m + 1) * len(pairs)]
        known = {"metric": metric, "dataset": name, **_common(aligned)}
        rows += [
            known | row for row in _metric_rows(metric, trained, left_out, aligned, count, how.seed)
        ]
    return rows


def _trained(
    connection: duckdb.DuckDBPyConnection, sources: Sequence[Source]
) -> tuple[list[Model], dict[str, str]]:
    """The models that were trained on something that is known, and of the others why they take no part."""
    known = {model: about for model, *about in connection.execute(MODELS).fetchall()}
    trained, left_out = [], {}
    for source in sources:
        family, sets, twin_of = known[source.model_id]
        if twin_of is not None:
            left_out[source.label] = "untrained"
        elif not sets:
            left_out[source.label] = (
                "training data not recorded" if sets is None else "without training data"
            )
        else:
            trained.append(Model(source, family, frozenset(sets)))
    return trained, left_out


def _common(aligned: Sequence[Row]) -> Row:
    """How the alignments of a metric were made."""
    columns = ("estimator", "normalization", "k")
    return {column: aligned[0][column] if aligned else None for column in columns}


def _metric_rows(
    metric: str,
    trained: Sequence[Model],
    left_out: dict[str, str],
    aligned: Sequence[Row],
    count: int,
    seed: int,
) -> list[Row]:
    labels = [model.source.label for model in trained]
    members = _pairs(trained, aligned)
    values, reasons = _matrix(labels, aligned)
    kept, undefined = without_undefined(labels, values, reasons)
    toward = -1 if find_metric(metric).lower_is_closer else 1
    pairs = Pairs([trained[i] for i in kept], values[np.ix_(kept, kept)], toward, count, seed)
    rows = [
        pairs.row(kind) | {"pairs": members[kind]}
        for kind in range(len(RELATIONS))
        if kind != UNKNOWN or pairs.of(UNKNOWN).size
    ]
    left_out = left_out | undefined
    if left_out:
        rows.append(
            EMPTY | {"relation": LEFT_OUT, "n_models": len(left_out), "reason": _why(left_out)}
        )
    return rows


def _matrix(labels: Sequence[str], aligned: Sequence[Row]) -> tuple[Values, Any]:
    """The alignment of any two models, (n, n), symmetric, NaN where undefined, and the reasons there, else None."""
    place = {label: i for i, label in enumerate(labels)}
    values = np.zeros((len(labels), len(labels)))
    reasons = np.full(values.shape, None, dtype=object)
    for row in aligned:
        a, b = place[row["model_a"]], place[row["model_b"]]
        values[a, b] = np.nan if row["value"] is None else row["value"]
        if row["value"] is None:
            reasons[a, b] = reasons[b, a] = row["reason"]
    return (values + values.T) / 2, reasons


def _pairs(trained: Sequence[Model], aligned: Sequence[Row]) -> list[list[Row]]:
    """The pairs of all models that were trained, by relation; asymmetric metrics by the mean of both directions."""
    known = {(row["model_a"], row["model_b"]): row for row in aligned}
    found: list[list[Row]] = [[] for _ in RELATIONS]
    kinds = relate([model.family for model in trained], [model.training for model in trained])
    for i, j in itertools.combinations(range(len(trained)), 2):
        a, b = trained[i], trained[j]
        there = known[a.source.label, b.source.label]
        back = known[b.source.label, a.source.label]
        values = (there["value"], back["value"])
        found[kinds[i, j]].append(
            {
                "model_a": a.source.label,
                "model_b": b.source.label,
                "family_a": a.family,
                "family_b": b.family,
                "common_sets": _common_sets(a.training, b.training),
                "value": None if None in values else sum(values) / 2,
                "n": there["n"],
                "reason": there["reason"] or back["reason"],
            }
        )
    return found


def _common_sets(a: frozenset[str], b: frozenset[str]) -> list[str]:
    """The training sets that two models share, or else the sources that their sets are drawn from."""
    origins = (
        {part for name in sets for part in training.ORIGINS.get(name, [name])} for sets in (a, b)
    )
    return sorted(a & b or frozenset.intersection(*map(frozenset, origins)))


def _why(left_out: dict[str, str]) -> str:
    """'untrained: a, b; …'"""
    by_reason: dict[str, list[str]] = {}
    for label, reason in left_out.items():
        by_reason.setdefault(reason, []).append(label)
    return "; ".join(f"{reason}: {', '.join(labels)}" for reason, labels in by_reason.items())


def relate(families: Sequence[str], sets: Sequence[frozenset[str]]) -> Numbers:
    """The relation of any two models, (n, n), as places in RELATIONS."""
    kinds = np.full((len(families), len(families)), FAMILY)
    for i, j in np.ndindex(kinds.shape):
        if families[i] != families[j]:
            kinds[i, j] = RELATIONS.index(training.training_relation(sets[i], sets[j]))
    return kinds


class Pairs:
    """The models of one matrix of alignments, (n, n), and how any two are related."""

    def __init__(
        self, models: Sequence[Model], values: Values, toward: int, count: int, seed: int
    ) -> None:
        self.values, self.toward, self.count, self.seed = values, toward, count, seed
        self.families = [model.family for model in models]
        self.kinds = relate(self.families, [model.training for model in models])
        self.upper = np.triu(np.ones(values.shape, dtype=bool), 1)

    def of(self, kind: int) -> Values:
        """The values of the pairs of one kind."""
        found: Values = self.values[self.upper & (self.kinds == kind)]
        return found

    def row(self, kind: int) -> Row:
        """What `ROW` says of one relation."""
        pairs = self.of(kind)
        row = EMPTY | {
            "relation": RELATIONS[kind],
            "n_pairs": pairs.size,
            "n_models": len(self.families),
        }
        if not pairs.size:
            return row | {"reason": f"no two models are related by: {RELATIONS[kind]}"}
        row |= {"mean": pairs.mean(), "median": np.median(pairs)}
        low_high, few = self._interval(kind)
        test, coarse = self._test(kind) if kind in TESTED else ({}, None)
        warning = "; ".join(filter(None, (few, coarse))) or None
        return row | low_high | test | {"warning": warning}

    def _interval(self, kind: int) -> tuple[Row, str | None]:
        mask = self.kinds == kind
        np.fill_diagonal(mask, False)
        models = np.count_nonzero(mask.any(axis=0))
        if models < LEAST_MODELS:
            return (
                {},
                f"no interval: {models} models are in such pairs, expected {LEAST_MODELS} or more",
            )
        low, high = mantel.mean_interval(self.values, mask, self.seed)
        return {"low": low, "high": high}, None

    def _test(self, kind: int) -> tuple[Row, str | None]:
        reference = self._reference(kind)
        if reference is None:
            return {
                "reason": "no two models are related by neither, which is what the mean is compared with"
            }, None
        row: Row = {
            "difference": self.of(kind).mean() - self.of(reference).mean(),
            "permuted": PERMUTED[kind],
        }
        other = (
            None
            if reference == NEITHER
            else f"compared with {RELATIONS[reference]}, as no pair is of neither"
        )
        if not self.count:
            return row | {"reason": "no p-value: permutations = 0"}, other
        groups = self._groups() if kind == TRAINING else [range(len(self.families))]
        moved = mantel.orders(groups, self.count, self.seed)
        p, least = mantel.p_value(self.toward * self.values, self.kinds, kind, reference, moved)
        if least == 1:
            return row | {
                "reason": "no p-value: all permutations leave these pairs as they are"
            }, other
        coarse = (
            f"with these {len(self.families)} models p cannot be below {least:.2g}"
            if least > COARSE
            else None
        )
        return row | {"p_value": p}, "; ".join(filter(None, (other, coarse))) or None

    def _reference(self, kind: int) -> int | None:
        """Return what pairs of a kind are compared with: neither, or of a family's what shares its data alone."""
        kinds = (NEITHER, TRAINING) if kind == FAMILY else (NEITHER,)
        return next((other for other in kinds if self.of(other).size), None)

    def _groups(self) -> list[list[int]]:
        """The models of each family."""
        return [
            [i for i, own in enumerate(self.families) if own == family]
            for family in sorted(set(self.families))
        ]
