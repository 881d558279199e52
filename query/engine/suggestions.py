"""Messages about names that do not exist, with the nearest name that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
    near = difflib.get_close_matches(str(name).lower(), known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {kind} '{name}'; {hint}there are: {', '.join(known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the words "; did you mean '…'?" with the nearest known name, or "" if none is near.

    Args:
        name: The name that was given.
        known: The names that exist.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
