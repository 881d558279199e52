"""The base of every error that the project raises on purpose, and what errors about names say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MatterzooError(Exception):
    """A failure with one clear message: the offending value, what was expected, what to do.

    Attributes:
        exit_code: what the program ends with. 2: what was asked for is wrong, and nothing was
            done; 1: it was started and failed.
    """

    exit_code = 2


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return what to say about a name that does not exist.

    Args:
        name: what was given.
        names: what there is.

    Returns:
        'did you mean a or b?', or 'there are a, b, c' where none is near.
    """
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
