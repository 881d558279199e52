"""Show how far a worker is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

EVERY = 10.0  # s between two lines where there is no terminal


class Progress:
    """Takes a worker's events. A context manager, so that the bar is closed however the run ends."""

    def __init__(self, label: str, representations: int) -> None:
        self.label, self.representations = label, representations
        self.bar: Any = None
        self.total = self.done = self.first = 0
        self.started = self.shown = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, event: dict[str, Any]) -> None:
        """Counts in events are systems × representations; systems are what is shown."""
        match event.get("event"):
            case "start":
                self._start(
                    event["sent"] // self.representations, event["done"] // self.representations
                )
            case "progress":
                self._move(event["done"] // self.representations)
            case "finish":
                self._move(self.total)
            case "warning":
                self.say(f"warning: {event.get('message')}")

    def say(self, text: str) -> None:
        if self.bar is not None:
            self.bar.clear()
        print(f"  {text}", file=sys.stderr, flush=True)

    def _start(self, total: int, done: int) -> None:
        self.total, self.first, self.done = total, done, done
        if done:
            self.say(f"going on from the {done} of {total} systems that an earlier start finished")
        if sys.stderr.isatty():
            width = min(100, shutil.get_terminal_size().columns)
            size = {
                "ncols": width,
                "nrows": 20,
            }  # not left to tqdm, which shows nothing on a terminal of size 0
            self.bar = tqdm(
                total=total,
                initial=done,
                desc=f"  {self.label}",
                unit=" systems",
                leave=False,
                **size,
            )

    def _move(self, done: int) -> None:
        if self.bar is not None:
            self.bar.update(done - self.done)
        self.done = done
        now = time.monotonic()
        if self.bar is None and done < self.total and now - self.shown >= EVERY:
            self.shown = now
            rate = (done - self.first) / (now - self.started)
            left = f", about {(self.total - done) / rate:.0f} s left" if rate else ""
            self.say(f"{self.label}: {done} of {self.total} systems, {rate:.1f} a second{left}")


@contextmanager
def counting(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how many entries of a dataset have been read."""
    width = min(100, shutil.get_terminal_size().columns)
    with tqdm(
        desc=f"  {label}", total=total, unit=" entries", leave=False, disable=None, ncols=width
    ) as bar:
        shown = time.monotonic()

        def move(done: int) -> None:
            nonlocal shown
            bar.update(done - bar.n)
            if bar.disable and time.monotonic() - shown >= EVERY:
                shown = time.monotonic()
                of = f" of {total:,}" if total else ""
                print(f"  {label}: {done:,}{of} entries read", file=sys.stderr, flush=True)

        yield move
