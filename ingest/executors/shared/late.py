"""Wait for files that another node has written: a network file system may show them late."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ingest.executors.shared.node import node_name
from ingest.failures import RunError
from ingest.integrity import Damaged
from ingest.runs.folder import Run
from ingest.runs.vectors.files import RunFile, list_files
from zoo.command_line import print_now

VARIABLE = "MATTERZOO_FILE_WAIT"
SECONDS = 60.0  # NFS keeps what it knows of a folder for as long by default
PAUSE = 0.5  # s between two looks


class FilesUnseen(RunError):
    """Files that another node has written are not seen on this one."""


def file_wait() -> float:
    """Return how many seconds to wait for a file: MATTERZOO_FILE_WAIT, or 60."""
    with suppress(ValueError):
        return float(os.environ[VARIABLE]) if VARIABLE in os.environ else SECONDS
    return SECONDS


class FileWait:
    """One time to wait for all files, which begins with the first that is not seen."""

    def __init__(self) -> None:
        """Make one that has not begun."""
        self._end: float | None = None

    @property
    def end(self) -> float:
        """When to give up, by `time.monotonic`."""
        if self._end is None:
            self._end = time.monotonic() + file_wait()
        return self._end


def wait_until(seen: Callable[[], bool], folder: Path, deadline: float) -> bool:
    """Wait until something is seen.

    Args:
        seen: Whether it is.
        folder: Listed before each further look, which makes a network file system look again.
        deadline: When to give up, by `time.monotonic`.

    Returns:
        Whether it was seen.
    """
    while not seen():
        over = time.monotonic() >= deadline
        if not over:
            time.sleep(PAUSE)
        with suppress(OSError):
            list(folder.iterdir())
        if over:
            return seen()
    return True


def await_file(path: Path, wait: FileWait | None = None) -> None:
    """Wait for a file that another node has written.

    Args:
        path: The file.
        wait: The time for this file and others; None is one of its own.

    Raises:
        FilesUnseen: It is not seen in time.
    """
    if not wait_until(path.exists, path.parent, (wait or FileWait()).end):
        raise FilesUnseen(_explain(f"{path} is not seen"))


def await_vectors(run: Run, wait: FileWait) -> None:
    """Wait until all files that the record of a finished run names are seen in their size.

    Args:
        run: A run with run.json.
        wait: The time for the files of this run and others.

    Raises:
        FilesUnseen: They are not seen in time; the message names one of them.
    """
    unseen = _find_unseen(run)
    if unseen is None:
        return
    if wait.end > time.monotonic():
        left = wait.end - time.monotonic()
        print_now(f"  {run.run_id}: waiting up to {left:.0f} s; {unseen}")
    if not wait_until(lambda: _find_unseen(run) is None, run.out, wait.end):
        raise FilesUnseen(_explain(str(_find_unseen(run))))


def _find_unseen(run: Run) -> str | None:
    """Return which of a run's files is not seen as its record says; None if all are."""
    try:
        files = [
            (run.out / file.name if _is_unseen(file) else Path(file.path), file.bytes)
            for file in list_files(run)
            if file.is_local
        ]
        outcomes = run.read("out/run.json").get("outcomes")
    except Damaged as error:
        return str(error)
    if outcomes is not None:
        files.append((run.outcomes, int(outcomes["size"])))
    for path, size in files:
        try:
            found = path.stat().st_size
        except FileNotFoundError:
            return f"{path} is not seen"
        if found != size:
            return f"{path} has {found} bytes, not {size}"
    return None


def _is_unseen(file: RunFile) -> bool:
    """Whether a file is neither where the worker wrote it nor where a load puts it."""
    return not Path(file.path).exists()


def _explain(fault: str) -> str:
    return (
        f"{fault} on node {node_name()} after {file_wait():.0f} s, and another node wrote it: is "
        "it on a file system that all nodes share? Where files come later than that, "
        f"{VARIABLE}=600 waits longer"
    )
