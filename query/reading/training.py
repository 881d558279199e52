"""What training sets have in common: their ancestry, from training_sets.toml, in Python and SQL."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

SHARED, NEITHER, UNKNOWN = "same-training-data", "neither", "unknown-training-data"


def read_sets() -> list[dict[str, Any]]:
    """Return the entries of training_sets.toml."""
    with Path(__file__).with_name("training_sets.toml").open("rb") as file:
        found: list[dict[str, Any]] = tomllib.load(file)["set"]
    return found


def find_origins(entries: Collection[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return by name or alias the set itself, under its first name, and all that it is drawn from.

    There is nothing for a set of which the content is undisclosed: two of one name need not be the
    same.

    Args:
        entries: The entries of training_sets.toml.
    """
    parents = {entry["name"]: entry.get("drawn_from", []) for entry in entries}

    def all_of(name: str) -> set[str]:
        return {name}.union(*(all_of(parent) for parent in parents.get(name, [])))

    return {
        name: [] if entry.get("undisclosed") else sorted(all_of(entry["name"]))
        for entry in entries
        for name in (entry["name"], *entry.get("aliases", []))
    }


ORIGINS = find_origins(read_sets())
UNDISCLOSED = sorted(name for name, origins in ORIGINS.items() if not origins)


def training_relation(a: Collection[str] | None, b: Collection[str] | None) -> str:
    """Return how the training sets of two models are related: SHARED, NEITHER or UNKNOWN.

    They are shared if both have a set, one has a part of the other's, or both have parts of one
    source. They are unknown if nobody recorded the sets, or the name of one says nothing of what is
    in it.

    Args:
        a: The names of the sets of one model; None if nobody recorded them.
        b: Those of the other.
    """
    first, second = (
        {origin for name in sets or () for origin in ORIGINS.get(name, [name])} for sets in (a, b)
    )
    if first & second:
        return SHARED
    known = all(sets is not None and not set(UNDISCLOSED) & set(sets) for sets in (a, b))
    return NEITHER if known else UNKNOWN


def macros() -> Iterator[str]:
    """Yield the statements that create the SQL macros training_origins and training_relation."""
    pairs = ", ".join(
        f"{_text(name)}: [{', '.join(map(_text, origins))}]" for name, origins in ORIGINS.items()
    )
    yield (
        "CREATE OR REPLACE TEMP MACRO training_origins(sets) AS list_sort(list_distinct(flatten("
        f"list_transform(sets, lambda s: coalesce((MAP {{{pairs}}})[s], [s])))))"
    )
    about = "Training sets under their first names, and all that they are drawn from"
    yield f"COMMENT ON MACRO training_origins IS '{about}'"
    hidden = ", ".join(map(_text, UNDISCLOSED))
    yield (
        "CREATE OR REPLACE TEMP MACRO training_relation(a, b) AS "
        f"CASE WHEN list_has_any(training_origins(a), training_origins(b)) THEN '{SHARED}' "
        f"WHEN a IS NULL OR b IS NULL OR list_has_any(a, [{hidden}]) "
        f"OR list_has_any(b, [{hidden}]) THEN '{UNKNOWN}' "
        f"ELSE '{NEITHER}' END"
    )
    about = "Whether two lists of training sets share data: yes, no, or nobody can tell"
    yield f"COMMENT ON MACRO training_relation IS '{about}'"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
