"""The message of an error that a library raised, fit to stand in a sentence of ours."""

from __future__ import annotations

_STACK = "\n\nStack Trace:"  # begins what DuckDB adds to its internal errors


def one_line(error: BaseException | str) -> str:
    """Return all lines of an error's message as one, without a stack.

    DuckDB's first line often says only what it was doing; the reason follows.

    Args:
        error: The error, or its message.

    Returns:
        The message; the name of the error's class if it has none.
    """
    text = " ".join(str(error).split(_STACK)[0].split())
    return text or type(error).__name__
