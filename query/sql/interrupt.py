"""Ctrl-C while a question runs.

The question ends after the step it is at; the connection and all neighbor lists that were kept
stay usable. DuckDB has one thread (see `query.connect`), so that our functions run in the main
thread, where Python hears of Ctrl-C. With more threads, the question itself returns at once, but
the next one waits until the computation is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

INTERRUPTED = (
    "interrupted; the neighbors of models that are done are kept, and the same question goes on "
    "from there"
)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn an interrupt within a SQL function, wherever it comes, into one with our message.

    Yields:
        Nothing.

    Raises:
        KeyboardInterrupt: If Ctrl-C ended the block.
    """
    try:
        yield
    except BaseException as error:
        if was_interrupted(error):
            raise KeyboardInterrupt(INTERRUPTED) from error
        raise


def was_interrupted(error: BaseException) -> bool:
    """Return whether Ctrl-C ended something.

    Args:
        error: What was raised. DuckDB passes Ctrl-C on as an error of its own, or of a function
            that it called.
    """
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt):
        return True
    return isinstance(error, duckdb.Error) and "executing the UDF: KeyboardInterrupt" in str(error)
