"""What can go wrong with a request or a run, apart from the worker's own failures."""

from __future__ import annotations

import errno
from pathlib import Path

from ingest.layout import Layout
from ingest.users import describe_owner
from zoo.errors import MatterzooError
from zoo.files import is_disk_full
from zoo.worker.errors import DiskFullError

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class RequestError(MatterzooError):
    """A request that cannot be met; the message says why."""


class RunBusy(RequestError):
    """Another process is working on the same run."""


class ShardError(MatterzooError):
    """A run that is not loaded, because its shards are not what its job and its run.json say.

    Attributes:
        fault: What is wrong, without the run's name and what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, fault: str | None = None) -> None:
        """Make an error; `fault` is the message itself if not given."""
        super().__init__(message)
        self.fault = fault or message


class DatasetDamaged(ShardError):
    """A run that cannot be loaded because of its dataset; all such runs have the same message."""


class VectorsError(MatterzooError):
    """A user's file of vectors that cannot be imported; the message says what is wrong with it."""


def explain_disk_error(error: OSError, layout: Layout) -> str | None:
    """Return what to do about a disk that is full or that may not be written.

    Args:
        error: Any error of the operating system.
        layout: The store and the files beside it.

    Returns:
        The message, or None if the error is of another kind.
    """
    if is_disk_full(error):
        return str(DiskFullError(error, layout.data))
    if error.errno not in NOT_WRITABLE:
        return None
    refused = Path(str(error.filename or layout.data))
    whose = describe_owner(refused)
    return (
        f"{refused}: {error.strerror}. The store {layout.store} and the folder {layout.data} are "
        "written to: make them writable, or name a store elsewhere (MATTERZOO_STORE=…)"
        + (f". {whose}" if whose else "")
    )
