"""The SQL macros about training sets, of which zoo/training_sets.py says how they are related."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.training_sets import NEITHER, SHARED, UNKNOWN, disclosed, origins


def macros() -> Iterator[str]:
    """Yield the statements that create the SQL macros training_origins and training_relation."""
    pairs = ", ".join(
        f"{_text(name)}: [{', '.join(map(_text, found))}]"
        for name, found in origins().items()
        if found != [name]  # a name that is not there stands for itself
    )
    yield (
        "CREATE OR REPLACE TEMP MACRO training_origins(sets) AS list_sort(list_distinct(flatten("
        f"list_transform(sets, lambda s: coalesce((MAP {{{pairs}}})[s], [s])))))"
    )
    about = "Training sets under their first names, and all that they are drawn from"
    yield f"COMMENT ON MACRO training_origins IS '{about}'"
    known = ", ".join(map(_text, disclosed()))
    yield (
        "CREATE OR REPLACE TEMP MACRO training_relation(a, b) AS "
        f"CASE WHEN list_has_any(training_origins(a), training_origins(b)) THEN '{SHARED}' "
        f"WHEN a IS NULL OR b IS NULL OR NOT list_has_all([{known}], a || b) THEN '{UNKNOWN}' "
        f"ELSE '{NEITHER}' END"
    )
    about = "Whether two lists of training sets share data: yes, no, or nobody can tell"
    yield f"COMMENT ON MACRO training_relation IS '{about}'"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
