"""The download of one file: resumed where it broke off, once however many ask, and verified."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from zoo.files import file_lock, rename_durably
from zoo.weights.addresses import check_address
from zoo.weights.digest import ANYTHING, Content, describe_mismatch
from zoo.weights.errors import DownloadError
from zoo.weights.transfer import Progress, Transfer

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before another try while no byte arrives

Log = Callable[[str], object]  # called with one line


def download(
    url: str,
    target: Path,
    expected: Content = ANYTHING,
    *,
    headers: Mapping[str, str] | None = None,
    log: Log = lambda line: None,
    progress: Progress = lambda done, total: None,
    waits: Sequence[float] = WAITS,
) -> Path:
    """Download a file, unless it is there already.

    The file appears under its name once it is whole and as expected. Until then it is
    `.NAME.partial` beside it, where the next call goes on. Of several processes or threads one
    downloads and the others wait. A file that is not as expected is renamed to `NAME.bad`.

    Args:
        url: The address, which begins with https://, or http:// on this machine.
        target: The path of the file. Its folder is made where it is missing.
        expected: What is known of its content.
        headers: Headers for the host of `url`, such as an Authorization; no other host gets them.
        log: Called with one line when the download waits or is tried again.
        progress: Called with (bytes so far, bytes in all or None).
        waits: Seconds before each further try; a byte that arrives begins them again.

    Returns:
        `target`.

    Raises:
        DownloadError: The file cannot be downloaded or written, or is not the file expected.
    """
    check_address(url)
    with _disk_errors_reported(target):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with download_lock(target, log):
                if not target.exists():
                    transfer = Transfer(url, target, expected, dict(headers or {}), progress)
                    transfer.run(log, waits)
                    _accept(transfer.partial, target, expected, url)
        if wrong := describe_mismatch(target, expected):
            raise DownloadError(
                f"{target} is not the file of {url}: {wrong}; remove it, and run this again"
            )
    return target


def download_lock(target: Path, log: Log) -> AbstractContextManager[int]:
    """Return the lock that a process holds while it writes a downloaded file.

    Args:
        target: The path of the file.
        log: Called with one line if another process holds the lock.
    """
    return file_lock(
        target.with_name(f".{target.name}.lock"),
        on_wait=lambda holder: log(f"{holder} downloads {target.name}; waiting for it"),
    )


def _accept(partial: Path, target: Path, expected: Content, url: str) -> None:
    """Give a downloaded file its name if it is as expected; set it aside otherwise."""
    if wrong := describe_mismatch(partial, expected):
        bad = target.with_name(f"{target.name}.bad")
        partial.replace(bad)
        raise DownloadError(
            f"{url} is not the file expected: {wrong}; it was set aside as {bad} and is not used"
        )
    rename_durably(partial, target)


@contextlib.contextmanager
def _disk_errors_reported(target: Path) -> Iterator[None]:
    """Turn what the file system refuses into a DownloadError that names the file."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written: {error}; make room, or choose another folder"
        ) from error
