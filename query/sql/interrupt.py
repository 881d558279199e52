"""Ctrl-C while a question runs: it ends after the step it is at, the connection and all that was kept stay usable.

DuckDB has one thread (see `query.connect`), so that our functions run where Python hears of Ctrl-C, in the main thread.
With more threads the question itself returns at once, but the next one waits until the computation is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

INTERRUPTED = "interrupted; the neighbors of models that are done are kept, and the same question goes on from there"


@contextmanager
def interruptible() -> Iterator[None]:
    """Around what a SQL function does: an interrupt says what is left of it, wherever it comes."""
    try:
        yield
    except BaseException as error:
        if was_interrupted(error):
            raise KeyboardInterrupt(INTERRUPTED) from error
        raise


def was_interrupted(error: BaseException) -> bool:
    """Did Ctrl-C end it? DuckDB passes it on as an error of its own, or of a function that it called."""
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt):
        return True
    return isinstance(error, duckdb.Error) and "executing the UDF: KeyboardInterrupt" in str(error)
