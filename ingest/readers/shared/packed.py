"""Files that gzip has compressed: the name without `.gz`, the size, and the file itself.

A few hundred bytes may stand for gigabytes, so a file that unpacks to far more than any data of
ours is refused. What unpacks to less is verified whole before any of it is read.
"""

from __future__ import annotations

import errno
import gzip
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from ingest.systems.entry import DatasetError

_GZIP = b"\x1f\x8b"
_SUFFIX = ".gz"
_AT_ONCE = 2**20  # bytes
# A file may unpack to the larger of these two. Structures as text shrink to a third or a tenth.
_MAX_UNPACKED = 2**26  # bytes
_MAX_RATIO = 100
# Errors of the operating system that speak of the file, or of an offset that the file claims. One
# without a number is a library's own, such as gzip's.
_OF_THE_FILE = (
    *(None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP),
    *(errno.ENAMETOOLONG, errno.ENXIO, errno.EINVAL, errno.EOVERFLOW),
)
# Errors of SQLite that do not: the disk, memory, or another program that writes to the database.
_OF_SQLITE = ("IOERR", "NOMEM", "FULL", "BUSY", "LOCKED", "CANTOPEN", "PROTOCOL")


class SystemFault(DatasetError):
    """The machine fails, and not the file: what cannot be read now may be read later."""

    exit_code = 1


def raise_system_fault(path: Path, error: BaseException) -> None:
    """Raise if an error says nothing of the file, so that no entry is recorded as unreadable.

    Args:
        path: The file that was read.
        error: What was raised.

    Raises:
        SystemFault: It is such an error, as if too many files are open or a disk does not answer.
    """
    if isinstance(error, SystemFault):
        raise error
    if (fault := _system_fault(error)) is not None:
        raise SystemFault(
            f"{path} cannot be read now, through no fault of its own: {fault}; nothing was "
            "stored, repeat when that is mended"
        ) from error


def _system_fault(error: BaseException) -> str | None:
    """Return what is wrong with the machine; None if an error speaks of the file."""
    if isinstance(error, OSError) and error.errno not in _OF_THE_FILE:
        return error.strerror
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
        return f"{error} ({name})" if name.startswith(_OF_SQLITE) else None
    return None


def plain_name(path: Path) -> Path:
    """Return a path without the suffix `.gz`, by which a file's format and stem are known.

    Args:
        path: A file, compressed or not.
    """
    return path.with_suffix("") if path.suffix.lower() == _SUFFIX else path


def is_packed(path: Path) -> bool:
    """Return whether gzip has compressed a file, whatever its name is.

    Args:
        path: An existing file.
    """
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def plain_size(path: Path) -> int:
    """Return the size of a file in bytes, once unpacked if it is compressed.

    Args:
        path: An existing file.

    Raises:
        DatasetError: The file is compressed and cannot be unpacked, or unpacks to too much.
    """
    about = path.stat()
    return _unpacked_size(path, about.st_mtime_ns) if is_packed(path) else about.st_size


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a program that reads no compressed files the file itself, in a temporary folder.

    Args:
        path: An existing file.

    Yields:
        The same path if the file is not compressed.

    Raises:
        DatasetError: The file is compressed and cannot be unpacked, or unpacks to too much.
        SystemFault: The temporary folder is full, or there is none.
    """
    if not is_packed(path):
        yield path
        return
    plain_size(path)
    with ExitStack() as kept:
        try:
            folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="matterzoo-"))
            copy = Path(folder) / plain_name(path).name
            with gzip.open(path) as packed, copy.open("wb") as file:
                shutil.copyfileobj(packed, file)
        except OSError as error:  # the file is sound, as it has been unpacked before
            raise SystemFault(
                f"{path} cannot be unpacked to {tempfile.tempdir or 'a temporary folder'}: "
                f"{error.strerror}; free space there, or name another folder (TMPDIR=…)"
            ) from error
        try:
            yield copy
        except DatasetError as error:  # users know the file that they gave
            raise type(error)(str(error).replace(str(copy), str(path))) from error


@lru_cache(maxsize=64)
def _unpacked_size(path: Path, changed: int) -> int:
    """Unpack a file and count its bytes; `changed` tells another file of that name."""
    limit = max(_MAX_UNPACKED, _MAX_RATIO * path.stat().st_size)
    size = 0
    try:
        with gzip.open(path) as file:
            while part := file.read(_AT_ONCE):
                size += len(part)
                if size > limit:
                    break
    except (OSError, EOFError, zlib.error) as error:
        raise_system_fault(path, error)
        raise DatasetError(f"{path} is compressed, and cannot be unpacked: {error}") from error
    if size > limit:
        raise DatasetError(
            f"{path} unpacks to more than {limit} bytes; unpack it and give the file itself"
        )
    return size
