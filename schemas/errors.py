"""Why a store cannot be opened or read, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from schemas.message import one_line
from schemas.paths import data_folder
from zoo.errors import MatterzooError
from zoo.files import describe_process

# What DuckDB raises where the file, its disk or its lock is at fault, and not the statement.
FILE_ERRORS = (
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)
_HOLDER = re.compile(r"lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")
# What DuckDB says of a file that is cut off, has a flipped bit, or does not fit its WAL. "INTERNAL
# Error" and "FATAL Error" are how it says that it met what it never writes.
_BROKEN = re.compile(
    "(?i)corrupt|checksum|serializ|replaying WAL|could not read enough bytes|conflict on|"
    "INTERNAL Error|FATAL Error|has been invalidated"
)
# What it says of a file of a newer DuckDB, and also of one with a damaged version number.
_OTHER_VERSION = re.compile(
    "can only read version|read WAL of version|trying to read a database file with version"
)


class StoreError(MatterzooError):
    """The store cannot be opened; the message says why and what to do. The file is as it was."""


class StoreLocked(StoreError):
    """Another process uses the store."""


class StoreOld(StoreError):
    """The store's tables are of an older version, and it was opened to be read only."""


class StoreBroken(StoreError):
    """The file is damaged, or is none that DuckDB can read."""


def explain_error(path: str | Path, error: duckdb.Error) -> StoreError:
    """Say what an error means that came while the open store was read, and what to do.

    Args:
        path: The store.
        error: What DuckDB raised.

    Returns:
        The error to raise instead.
    """
    return explain_message(path, str(error), read_only=True)


def explain_message(path: str | Path, message: str, *, read_only: bool) -> StoreError:
    """Say what a message of DuckDB, or of the system, means for a store.

    Args:
        path: The store.
        message: The message.
        read_only: Whether the store was opened to be read only.

    Returns:
        The error to raise.
    """
    # DuckDB takes other files (x.csv) for tables to show in a database in memory.
    if "not a valid DuckDB database file" in message or "launch in-memory" in message:
        return not_a_store(path)
    if "different configuration" in message:
        return StoreLocked(
            f"{path} is already open in this process, in another mode; close that connection first"
        )
    if "Could not set lock" in message:
        return in_use(path, _holder(message), read_only=read_only)
    if "No space left" in message or "quota exceeded" in message:
        return StoreError(
            f"no space left for {path}: free space on its disk, then repeat; the store is as it was"
        )
    for reason in ("Permission denied", "Read-only file system"):
        if reason in message:
            purpose = "" if read_only else " for writing"
            return StoreError(f"{path} cannot be opened{purpose}: {reason}")
    return _explain_unreadable(path, message)


def in_use(path: str | Path, holder: str, *, read_only: bool) -> StoreLocked:
    """Say which process keeps this one from opening the store.

    Args:
        path: The store.
        holder: The process in words, such as 'process 123 (matterzoo ingest …)'.
        read_only: Whether this process wants only to read.

    Returns:
        The error to raise.
    """
    does = "is being written by" if read_only else "is in use by"
    return StoreLocked(
        f"{path} {does} {holder}; wait until it is done, or end it "
        "(one process writes alone; several may read at once with read_only)"
    )


def not_a_store(path: str | Path) -> StoreBroken:
    """Say that a file is none of DuckDB's.

    Args:
        path: The file.

    Returns:
        The error to raise.
    """
    return StoreBroken(f"{path} is not a DuckDB file, so it is no store; {_remedy(path)}")


def cut_off(path: str | Path, size: int, expected: int) -> StoreBroken:
    """Say that a store's file is shorter than its own tables say.

    Args:
        path: The store.
        size: Its size in bytes.
        expected: The bytes that it must have at least.

    Returns:
        The error to raise.
    """
    return StoreBroken(
        f"{path} is cut off: it has {size} bytes of at least {expected}. {_remedy(path)}"
    )


def _explain_unreadable(path: str | Path, message: str) -> StoreError:
    what = f"{path} cannot be opened by DuckDB {duckdb.__version__}: {one_line(message)}"
    if _OTHER_VERSION.search(message):
        return StoreBroken(
            f"{what}. Either a newer DuckDB has written it: then update matterzoo, or open it "
            f"with that DuckDB. Or it is damaged: then {_remedy(path)}"
        )
    if _BROKEN.search(message):
        return StoreBroken(f"{what}. The file is damaged: {_remedy(path)}")
    return StoreError(what)


def _remedy(path: str | Path) -> str:
    """Say what to do about a file that is no store any more, or never was one."""
    data = data_folder(path)
    if data.exists():
        kept = f"{Path(path).name}.broken"
        return f"`matterzoo rebuild` makes it again from {data}, and keeps it as {kept}"
    return "give another path, or move that file away"


def _holder(message: str) -> str:
    """Return 'process 123 (matterzoo ingest …)' from DuckDB's message."""
    found = _HOLDER.search(message)
    return "another process" if found is None else describe_process(found["pid"], found["program"])
