"""Report what is done while models are run: outcomes on standard output, progress beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingest.callbacks import Event
from zoo.command_line import print_now
from zoo.terminal import Progress, above_bars, log


def report_error(text: str) -> None:
    """Print what went wrong on standard error, at once.

    Args:
        text: What went wrong, and what to do.
    """
    with above_bars():
        print(f"error: {text}", file=sys.stderr, flush=True)


def report_step(text: str) -> None:
    """Print a step of what is being done, below the line that says what that is.

    Args:
        text: The step.
    """
    print_now(f"  {text}")


class WorkerProgress:
    """Shows how far a worker is; a function that takes the worker's events.

    It is a context manager: the bar goes when the block ends, however it ends.
    """

    def __init__(self, label: str, representations: int) -> None:
        """Wait for the worker's first event.

        Args:
            label: What stands in front of the bar, such as the model's id.
            representations: How many representations the job has. Events count pairs of a system
                and a representation; systems are what is shown.
        """
        self._label, self._representations = label, representations
        self._progress: Progress | None = None

    def __enter__(self) -> WorkerProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.close()

    def __call__(self, event: Event) -> None:
        """Show an event.

        Args:
            event: One of the worker's events; kinds that say nothing of progress are ignored.
        """
        match event.get("event"):
            case "start":
                self._start(self._systems(event["sent"]), self._systems(event["done"]))
            case "progress":
                self._move(self._systems(event["done"]))
            case "finish":
                self._move(None)
            case "warning":
                self._log(f"{self._label}: warning: {event.get('message')}")

    def _systems(self, pairs: int) -> int:
        return pairs // self._representations

    def _start(self, total: int, done: int) -> None:
        if done:
            found = f"the {done} of {total} systems that an earlier start finished"
            log(f"{self._label}: continuing from {found}")
        self.__exit__()  # the bar of a worker that was killed
        self._progress = Progress(self._label, total, done=done, line=_line, unit=" systems")

    def _move(self, done: int | None) -> None:
        if self._progress is not None:
            total = self._progress.total or 0
            self._progress.move(total if done is None else done)

    def _log(self, text: str) -> None:
        (log if self._progress is None else self._progress.log)(text)


@contextmanager
def count_entries(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how many entries of a dataset have been read.

    Args:
        label: The dataset's name.
        total: How many entries there are; None if nobody knows.

    Yields:
        A function to call with the number of entries read so far.
    """
    with Progress(label, total, line=_entries_line, unit=" entries") as progress:
        yield progress.move


def _line(progress: Progress) -> str | None:
    total = progress.total or 0
    if progress.done >= total:
        return None
    speed = f"{progress.rate:.1f} per second{progress.left}"
    return f"{progress.label}: {progress.done} of {total} systems, {speed}"


def _entries_line(progress: Progress) -> str:
    of = f" of {progress.total:,}" if progress.total else ""
    return f"{progress.label}: {progress.done:,}{of} entries read"
