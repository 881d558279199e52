"""Messages about names that do not exist, with the nearest name that does."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.errors import suggest


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the sentence for a name that does not exist, with the nearest one that does.

    Args:
        kind: What the name should have named, such as "metric".
        name: The name that was given.
        known: The names that exist, in the order in which they are listed.

    Returns:
        For example "unknown metric 'ckna'; did you mean 'cknna'? there are: cka, cknna, …".
    """
    known = list(known)
    hint = suggest(str(name).lower(), known)
    return f"unknown {kind} '{name}'; {hint + ' ' if hint else ''}there are: {', '.join(known)}"


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the words "; did you mean '…'?" with the nearest known name, or "" if none is near.

    Args:
        name: The name that was given.
        known: The names that exist.
    """
    hint = suggest(name, known)
    return f"; {hint}" if hint else ""
