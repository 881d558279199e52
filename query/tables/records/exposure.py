"""exposure(dataset, …): which models were trained on a dataset, or on what may overlap it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import duckdb

from query.reading.selection import choose_sources, find_dataset
from query.tables.shared.declare import TableFunction
from query.tables.shared.parameters import MODELS, ONE_DATASET
from query.tables.shared.selecting import Names
from zoo.training_sets import KnownDataset, find_path, known_datasets, sets_by_name

SAME, HELD_OUT, OVERLAP, NOT_COMPARED, OTHER_MATTER, UNKNOWN, UNKNOWN_DATASET, UNTRAINED = (
    "same-set",
    "held-out",
    "may-overlap",
    "not-compared",
    "other-matter",
    "unknown",
    "unknown-dataset",
    "untrained",
)
_NAMED = 3  # sets that a reason names
_STRENGTH = (SAME, HELD_OUT, OVERLAP, UNKNOWN)  # of what a model's sets say, the first decides


@dataclass(frozen=True)
class _Finding:
    """What one training set says about a dataset."""

    exposure: str
    training_set: str | None
    reason: str
    source: str | None = None


@dataclass(frozen=True)
class Row:
    """A model, and whether it has seen a dataset in training."""

    model_id: Annotated[str, "the model"]
    exposure: Annotated[
        str,
        "'same-set': trained on what the dataset is taken from; 'held-out': its publisher kept it "
        "from training; 'may-overlap': a source in common; 'not-compared': sets of the same kind "
        "of matter, and no record of whether they overlap; 'other-matter': sets of other kinds "
        "only; 'unknown': nobody says what it was trained on; 'unknown-dataset': nobody says what "
        "the dataset is taken from; 'untrained': trained on nothing",
    ]
    training_set: Annotated[str | None, "the training set that decides"]
    reason: Annotated[str, "what is known, and by which sets"]
    source: Annotated[str | None, "where that is said"]
    training_sets: Annotated[list[str] | None, "all sets of the model; NULL if nobody says"]
    dataset: Annotated[str, "the dataset"]


def exposure(
    connection: duckdb.DuckDBPyConnection, dataset: str | None = None, models: Names = None
) -> Sequence[Row]:
    """Say of each model whether it was trained on a dataset, as far as public records tell.

    A model's sets are compared with what zoo/training_sets.toml knows of the dataset, by name. No
    system is compared with another, so that 'may-overlap' is no proof that the two have systems in
    common, and 'not-compared' says neither that they have nor that they have not.

    Args:
        connection: A connection to a store.
        dataset: The dataset.
        models: The models; None is all that have vectors there.

    Returns:
        One row per model.

    Raises:
        ValueError: If the store has no such model or dataset.
    """
    name = find_dataset(connection, dataset)
    rows = connection.execute("SELECT model_id, training_sets FROM models").fetchall()
    trained_on: dict[str, list[str] | None] = dict(rows)
    chosen = dict.fromkeys(s.model_id for s in choose_sources(connection, models, name))
    return [_row(model_id, trained_on[model_id], name) for model_id in chosen]


def _row(model_id: str, sets: list[str] | None, dataset: str) -> Row:
    return Row(model_id=model_id, **vars(_find(sets, dataset)), training_sets=sets, dataset=dataset)


def _find(sets: list[str] | None, dataset: str) -> _Finding:
    """Return what decides about a model that was trained on these sets."""
    if sets is None:
        return _Finding(UNKNOWN, None, "nobody recorded what it was trained on")
    if not sets:
        return _Finding(UNTRAINED, None, "it was trained on nothing")
    known = known_datasets().get(dataset)
    if known is None:
        return _Finding(UNKNOWN_DATASET, None, f"no record says what {dataset} is taken from")
    findings = [finding for name in sets if (finding := _compare(name, known))]
    if findings:
        return min(findings, key=lambda finding: _STRENGTH.index(finding.exposure))
    return _explain_nothing(sets, known)


def _compare(name: str, dataset: KnownDataset) -> _Finding | None:
    """Return what a training set, by a name of it, says about a dataset, or None for nothing."""
    found = sets_by_name().get(name)
    first = name if found is None else found.name
    if first in dataset.taken_from:
        taken = f"it was trained on {first}, which {dataset.name} is taken from"
        if not dataset.held_out:
            return _Finding(SAME, name, taken, dataset.source)
        kept = "; this is the split that the publisher did not train on, of the same making"
        return _Finding(HELD_OUT, name, taken + kept, dataset.source)
    if found is None:
        return _Finding(UNKNOWN, name, f"no record says what {name} holds")
    if found.undisclosed:
        return _Finding(UNKNOWN, name, f"nobody has disclosed what {name} holds")
    for remark in dataset.unclear:
        if find_path(name, remark.set):
            reason = f"it was trained on {name}: {remark.because}"
            return _Finding(UNKNOWN, name, reason, remark.source)
    return _overlap(name, dataset)


def _overlap(name: str, dataset: KnownDataset) -> _Finding | None:
    """Return that a set and a dataset have a source in common, or None if none is known."""
    for remark in dataset.overlap:
        if path := find_path(name, remark.set):
            reason = f"it was trained on {_drawn(path)}; {remark.because}"
            return _Finding(OVERLAP, name, reason, remark.source)
    pairs = [
        (own, other)
        for taken in dataset.taken_from
        for origin in {*_above(name)} & {*_above(taken)}
        if (own := find_path(name, origin)) and (other := find_path(taken, origin))
    ]
    if not pairs:
        return None
    own, other = min(pairs, key=lambda pair: (len(pair[0]) + len(pair[1]), pair))
    reason = f"it was trained on {_drawn(own)}; {dataset.name} is taken from {_drawn(other)}"
    said = own if len(own) > 1 else other
    return _Finding(OVERLAP, name, reason, sets_by_name()[said[0]].source)


def _above(name: str) -> Iterable[str]:
    """Yield the first name of a set, and those of all that it is drawn from."""
    found = sets_by_name().get(name)
    yield name if found is None else found.name
    for parent in () if found is None else found.drawn_from:
        yield from _above(parent)


def _drawn(path: Sequence[str]) -> str:
    """Return 'a, drawn from b, drawn from c'."""
    return ", drawn from ".join(path)


def _explain_nothing(sets: Sequence[str], dataset: KnownDataset) -> _Finding:
    """Return why no set is known to have systems of the dataset: other matter, or no record."""
    known = [sets_by_name()[name] for name in sets]
    alike = [found.name for found in known if {*found.matter} & {*dataset.matter}]
    matter = " and ".join(dataset.matter)
    if not alike:
        kinds = dict.fromkeys(kind for found in known for kind in found.matter)
        held = f"its sets hold {' and '.join(kinds)}, and {dataset.name} holds {matter}"
        return _Finding(OTHER_MATTER, None, held)
    named = " or ".join(alike[:_NAMED]) + (" or others" if len(alike) > _NAMED else "")
    reason = (
        f"no record says that {named} has systems of {dataset.name}, and none excludes it: "
        f"there are {matter} in both"
    )
    return _Finding(NOT_COMPARED, None, reason)


TABLE_FUNCTION = TableFunction(
    "Which models were trained on a dataset, on something that may overlap it, on sets that nobody "
    "compared with it, or on other matter; unknown where nobody says",
    Row,
    (ONE_DATASET, MODELS),
    exposure,
)
