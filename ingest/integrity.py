"""Files beside the store that know their own checksum: sealed JSON, and Parquet with a stamp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from schemas.errors import StoreError
from zoo.files import fsync, is_disk_full
from zoo.worker.errors import DamagedFileError
from zoo.worker.sealed import check_stamp, read_sealed, stamp, write_sealed


class Damaged(StoreError):
    """A file beside the store is not as it was written; the message names it."""


def read_json(path: Path) -> dict[str, Any]:
    """Read one of our JSON files, with its keys as they are spelled today.

    Args:
        path: A file that `write_json` or the worker wrote, in this version or in an earlier one.

    Returns:
        The content, without its seal.

    Raises:
        Damaged: The file is missing, or its content does not match its seal.
    """
    try:
        content: dict[str, Any] = _with_todays_keys(read_sealed(path))
        return content
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except DamagedFileError as error:
        raise Damaged(str(error)) from error


def _with_todays_keys(content: Any) -> Any:
    """Return the content with `license` in its keys, where schema 3 and before had `licence`."""
    if isinstance(content, list):
        return [_with_todays_keys(item) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        key.replace("licence", "license"): _with_todays_keys(value)
        for key, value in content.items()
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write one of our JSON files, whole or not at all, so that a power loss does not undo it.

    Args:
        path: Where the file is to be. Its folder is made if needed.
        content: What the file is to hold; a seal is added.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        fsync(path.parent.parent)
    write_sealed(path, content)


def check_file(path: Path, stated: dict[str, Any]) -> None:
    """Compare a file with the stamp that was noted when it was written.

    A file that this process has read before is read again only if the file system says that it
    changed, or after `forget_stamps`.

    Args:
        path: The file.
        stated: Its stamp, `{"size": …, "sha256": …}`.

    Raises:
        Damaged: The file is missing or has other bytes.
    """
    found = _stamp(_Identified(_identity(path), path)) if path.is_file() else None
    if found != stated:
        try:
            check_stamp(path, stated)
        except DamagedFileError as error:
            raise Damaged(str(error)) from error


def forget_stamps() -> None:
    """Forget which files have been read, so that damage that came since then is found."""
    _stamp.cache_clear()


@contextmanager
def ignore_full_disk() -> Iterator[None]:
    """Leave out what the `with` block writes if the disk has no space left.

    Yields:
        Nothing.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise


@dataclass(frozen=True)
class _Identified:
    """A file, known by its inode, size and times: the jobs of a dataset are links to one file."""

    identity: tuple[int, ...]
    path: Path = field(compare=False)


@lru_cache(maxsize=1024)
def _stamp(file: _Identified) -> dict[str, Any]:
    return stamp(file.path)


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
