"""Wait for a store that other processes use."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from schemas.store import StoreLocked

PATIENCE = (
    30.0  # s that a command waits for a store that others use: longer than any load of one model
)
SHORT = 2.0  # s that a load waits if it can be tried again later
# s between two looks at the lock of a store, which take microseconds: readers that open and close it all the time leave
# it free for moments only. Irregular, lest it keeps step with one of them.
PAUSE = (0.0005, 0.002)

Opened = TypeVar("Opened")
_files: dict[
    tuple[int, int], int
] = {}  # {(device, inode): descriptor}; to close one would drop DuckDB's own lock


def patiently(
    connect: Callable[[], Opened],
    store: Path,
    patience: float | None = None,
    say: Callable[[str], None] | None = None,
) -> Opened:
    """Return what connect() returns, called again for at most `patience` seconds while it raises StoreLocked.

    connect: opens `store`. patience: PATIENCE if None. say: is told once what is waited for.
    """
    patience = PATIENCE if patience is None else patience
    end = time.monotonic() + patience
    try:
        return connect()
    except StoreLocked as error:
        if patience <= 0 or "in this process" in str(error):  # which would wait for itself
            raise
        if say is not None:
            say(f"waiting up to {patience:.0f} s: {error}")
    while True:
        while not (held := _lock(store)) and time.monotonic() < end:
            time.sleep(random.uniform(*PAUSE))
        try:
            return connect()
        except BaseException as error:
            if held:
                fcntl.lockf(_descriptor(store), fcntl.LOCK_UN)
            if not isinstance(error, StoreLocked) or time.monotonic() >= end:
                raise


def _lock(store: Path) -> bool:
    """Take the lock that DuckDB takes of a store's file, unless another process has it.

    To ask DuckDB takes many milliseconds, in which the store may have been free. Such locks belong to the process, so
    others wait while DuckDB opens the store here. It gives ours back for a moment in which it looks at the file's first
    bytes, so others may still come first.
    """
    try:
        fcntl.lockf(_descriptor(store), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _descriptor(store: Path) -> int:
    about = store.stat()
    file = about.st_dev, about.st_ino
    if file not in _files:
        _files[file] = os.open(store, os.O_RDWR)
    return _files[file]
