"""Wait for a store that other processes use."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from schemas.errors import StoreLocked

PATIENCE = 30.0  # s that a command waits for a store; longer than any load of one model takes
SHORT_PATIENCE = 2.0  # s that a load waits if it can be tried again later
# s between two looks at the lock of a store, which take microseconds: readers that open and close
# it all the time leave it free for moments only. Irregular, so as not to keep step with one.
PAUSE = (0.0005, 0.002)

Result = TypeVar("Result")
# {(device, inode): descriptor}. They stay open: to close one would drop DuckDB's own lock.
_files: dict[tuple[int, int], int] = {}


def retry_while_locked(
    connect: Callable[[], Result],
    store: Path,
    patience: float | None = None,
    log: Callable[[str], None] | None = None,
) -> Result:
    """Call a function that opens a store again until no other process is in the way.

    Args:
        connect: Opens the store; raises StoreLocked if another process keeps it from doing so.
        store: The store's file.
        patience: How many seconds to try for at most; PATIENCE by default.
        log: Gets one line, if there is something to wait for.

    Returns:
        What `connect` returned.

    Raises:
        StoreLocked: The store was in use all the time, or is open in this very process.
    """
    patience = PATIENCE if patience is None else patience
    end = time.monotonic() + patience
    try:
        return connect()
    except StoreLocked as error:
        if patience <= 0 or "in this process" in str(error):  # it would wait for itself
            raise
        if log is not None:
            log(f"waiting up to {patience:.0f} s: {error}")
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

    To ask DuckDB takes many milliseconds, in which the store may have been free. Such a lock
    belongs to the process, so that others wait while DuckDB opens the store here. DuckDB gives the
    lock back for a moment while it looks at the file's first bytes, so others may still be faster.
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
