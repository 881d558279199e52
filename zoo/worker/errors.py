"""What ends a run early, and how an exception is told in one line."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from zoo.errors import MatterzooError

LONGEST_REASON = 500  # characters of a reason that is stored with every system that failed
# What the operating system reports of a machine that fails, whatever is computed on it.
MACHINE_FAULTS = (
    *(errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EROFS),
    *(errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT),
)
# What the dynamic loader says of a library that a package expects the system to have.
LACKING = re.compile(r"(\S+\.so\S*): cannot open shared object file")


class WorkerError(MatterzooError):
    """The whole run cannot go on; the message is what the host shows."""


class DamagedFileError(WorkerError):
    """A file is not as it was written; the message names it."""


class DiskFullError(WorkerError):
    """A disk, or what the user may take of it, is full."""

    def __init__(self, error: OSError, folder: Path) -> None:
        """Say what to do.

        Args:
            error: What the operating system reported.
            folder: The folder, or the file, that could not be written.
        """
        super().__init__(
            f"no space left ({describe(error)}): free space on the disk of {folder}, then repeat; "
            "finished shards are kept, and the same run continues from them"
        )


class Stopped(BaseException):
    """A signal asked the worker to end. It is no Exception, lest an encoder catches it."""


def describe(error: BaseException) -> str:
    """Return an exception as one line such as 'ValueError: message'.

    Args:
        error: Any exception.
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text[:LONGEST_REASON].rstrip(": ")


def explain_missing_library(error: BaseException) -> str | None:
    """Return what to do about a library that the system lacks, or None if it is not about that.

    Args:
        error: What the import of a package raised.
    """
    found = LACKING.search(str(error))
    if found is None:
        return None
    return (
        f"The system has no {found[1]}. Install its package (for libXrender.so.1 Debian's is "
        "libxrender1), or build the family's image from a base that has it, such as "
        "python:3.11-bookworm: `matterzoo build FAMILY --base IMAGE`"
    )


def is_machine_fault(error: BaseException) -> bool:
    """Return whether an exception speaks of the machine, and not of the system it came with.

    Args:
        error: What an encoder raised. Some import packages only when they see the first system.
    """
    if isinstance(error, ImportError):
        return LACKING.search(str(error)) is not None
    return isinstance(error, OSError) and error.errno in MACHINE_FAULTS


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception means that memory ran out, on the host or on a GPU.

    Args:
        error: What an encoder raised. torch's own exception is known by its name, since many
            environments have no torch; older versions raise a RuntimeError.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
