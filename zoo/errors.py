"""The base of every error that the project raises on purpose, and what errors about names say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 40  # names that an error lists at most; more are no sentence


class MatterzooError(Exception):
    """A failure with one clear message: the offending value, what was expected, what to do.

    Attributes:
        exit_code: What the program ends with. 2: what was asked for is wrong, and nothing was
            done; 1: it was started and failed.
    """

    exit_code = 2


def suggest(name: str, names: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str:
    """Return "did you mean 'a' or 'b'?" for a name that does not exist, or '' if none is near.

    Args:
        name: The name that was given.
        names: The names that exist.
        most: How many names are suggested at most.
        cutoff: How near a name has to be, from 0 to 1, as `difflib.get_close_matches` measures it.
    """
    near = difflib.get_close_matches(name, list(names), n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return "did you mean 'a' or 'b'?", or 'there are a, b, c' if no name is near.

    Where there are more names than a sentence holds, it says only how many.

    Args:
        name: The name that was given.
        names: The names that exist.
    """
    known = sorted(names)
    listed = ", ".join(known) if len(known) <= _LISTED else f"{len(known)}"
    return suggest(name, known, most=3, cutoff=0.4) or f"there are {listed}"
