"""What models are trained on: how training sets are related, and which datasets of ours they hold.

The facts are in training_sets.toml. They are about names, so that cards, stores and imported models
need nothing but the names of their sets.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARED, NEITHER, UNKNOWN = "same-training-data", "neither", "unknown-training-data"
_NAMED = 2  # sets that a line of a list names


@dataclass(frozen=True)
class TrainingSet:
    """A set that models are trained on, or that such a set is drawn from.

    Attributes:
        name: Its first name.
        matter: What it holds: crystals, surfaces, molecules, proteins, text.
        aliases: Other names of it.
        drawn_from: First names of the sets of which it holds systems; empty if nobody says.
        source: Where it is described; None if its content is undisclosed.
        license: SPDX name of the license of the data; None if it is not recorded.
        undisclosed: Whether the name says nothing of the content.
    """

    name: str
    matter: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    drawn_from: tuple[str, ...] = ()
    source: str | None = None
    license: str | None = None
    undisclosed: bool = False


@dataclass(frozen=True)
class Remark:
    """What is known of one training set and one dataset.

    Attributes:
        set: The first name of the set.
        because: Why the two have systems in common, or why nobody can tell; a clause.
        source: Where that is said.
    """

    set: str
    because: str
    source: str


@dataclass(frozen=True)
class KnownDataset:
    """A dataset of ours, by where its systems are from.

    Attributes:
        name: Its name.
        matter: What it holds.
        taken_from: First names of the sets that its systems are a part of.
        source: Where that is said.
        held_out: Whether it is the split that the publisher kept from its own training.
        overlap: Sets that are known to hold some of its systems.
        unclear: Sets that may hold some of its systems.
    """

    name: str
    matter: tuple[str, ...]
    taken_from: tuple[str, ...]
    source: str
    held_out: bool = False
    overlap: tuple[Remark, ...] = ()
    unclear: tuple[Remark, ...] = ()


@functools.cache
def training_sets() -> Sequence[TrainingSet]:
    """Return all sets of training_sets.toml."""
    return [TrainingSet(**_frozen(entry)) for entry in _read()["set"]]


@functools.cache
def known_datasets() -> Mapping[str, KnownDataset]:
    """Return the datasets of training_sets.toml by name."""
    found = {}
    for entry in _read()["dataset"]:
        for kind in ("overlap", "unclear"):
            entry[kind] = [Remark(**remark) for remark in entry.get(kind, [])]
        found[entry["name"]] = KnownDataset(**_frozen(entry))
    return found


@functools.cache
def sets_by_name() -> Mapping[str, TrainingSet]:
    """Return all sets by each of their names."""
    return {name: found for found in training_sets() for name in (found.name, *found.aliases)}


def find_path(name: str, origin: str) -> list[str] | None:
    """Return how a set is drawn from another, by first names.

    Args:
        name: A name of the set.
        origin: The first name of what it may be drawn from.

    Returns:
        The names from the set to the origin, [origin] if that is the set itself, and None if
        nobody says that it is drawn from there.
    """
    known = sets_by_name().get(name)
    first = known.name if known else name
    if first == origin:
        return [first]
    paths = [find_path(parent, origin) for parent in known.drawn_from] if known else []
    return next(([first, *path] for path in paths if path), None)


def find_origins(sets: Collection[TrainingSet]) -> dict[str, list[str]]:
    """Return by name or alias the set itself, under its first name, and all that it is drawn from.

    There is nothing for a set of which the content is undisclosed: two of one name need not be the
    same.

    Args:
        sets: All sets.
    """
    parents = {known.name: known.drawn_from for known in sets}

    def all_of(name: str) -> set[str]:
        return {name}.union(*(all_of(parent) for parent in parents.get(name, ())))

    return {
        name: [] if known.undisclosed else sorted(all_of(known.name))
        for known in sets
        for name in (known.name, *known.aliases)
    }


@functools.cache
def origins() -> Mapping[str, list[str]]:
    """Return `find_origins` of all sets; a name that is not there stands for itself."""
    return find_origins(training_sets())


def find_all_origins(names: Collection[str]) -> list[str]:
    """Return the first names of sets and of all that they are drawn from.

    Args:
        names: Names of sets; one that is not recorded stands for itself.
    """
    return sorted({origin for name in names for origin in origins().get(name, [name])})


@functools.cache
def disclosed() -> Sequence[str]:
    """Return the names of the sets of which it is recorded what they hold."""
    return sorted(name for name, found in origins().items() if found)


def training_relation(a: Collection[str] | None, b: Collection[str] | None) -> str:
    """Return how the training sets of two models are related: SHARED, NEITHER or UNKNOWN.

    They are shared if both have a set, one has a part of the other's, or both have parts of one
    source. They are unknown if nobody recorded the sets, if training_sets.toml does not have one of
    them, or if the name of one says nothing of what is in it.

    Args:
        a: The names of the sets of one model; None if nobody recorded them.
        b: Those of the other.
    """
    if {*find_all_origins(a or ())} & {*find_all_origins(b or ())}:
        return SHARED
    known = all(sets is not None and {*sets} <= {*disclosed()} for sets in (a, b))
    return NEITHER if known else UNKNOWN


def short_origins(names: Collection[str]) -> str:
    """Return what sets are drawn from, in a few words: 'Alexandria, Materials Project'.

    Args:
        names: The names of a model's training sets.

    Returns:
        The words, which follow each set up to one that is drawn from none or several; '-' if there
        are no sets.
    """
    found = list(dict.fromkeys(map(_only_origin, names)))
    more = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f", {more} more" if more > 0 else "") or "-"


def _only_origin(name: str) -> str:
    known = sets_by_name().get(name)
    if known is None:
        return name
    if known.undisclosed:
        return "undisclosed"
    return _only_origin(known.drawn_from[0]) if len(known.drawn_from) == 1 else known.name


def explain_set(name: str) -> str:
    """Return what is known of a training set, in a line.

    Args:
        name: The name that a card has.
    """
    known = sets_by_name().get(name)
    if known is None:
        return f"{name}: in no record"
    parts = [" and ".join(known.matter)]
    if known.undisclosed:
        parts.append("content undisclosed")
    if known.drawn_from:
        above = sorted({*origins()[name]} - {known.name})
        parts.append(f"drawn from {', '.join(above)}")
    also = "" if name == known.name else f", which is {known.name}"
    return f"{name}{also}: {', '.join(parts)}" + (f"; {known.source}" if known.source else "")


@functools.cache
def _read() -> dict[str, Any]:
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        return tomllib.load(file)


def _frozen(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
    }
