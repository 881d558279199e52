"""Show how far a question is: a bar on a terminal, a line now and then elsewhere, nothing where it takes no time."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from tqdm import tqdm

PATIENCE = 2.0  # s that nobody needs an explanation for
EVERY = 10.0  # s between two lines where there is no terminal
BAR = "  {desc}: {percentage:3.0f}% |{bar}| {elapsed} so far, about {remaining} left"
LABEL = "comparing models"


class Progress:
    """Counts products of two vectors; see `query.engine.protocols.Progress`. A context manager: at its end the bar goes.

    One serves all that a question takes, datasets, groups of systems and metrics: `expect` says what is ahead from here
    on, and what was said before covers it as far as it goes. What remains is judged by how fast it went last, since a
    model whose neighbors are kept from an earlier question takes next to no time.
    """

    def __init__(self, label: str = LABEL) -> None:
        self.label = label
        self.total = self.done = 0
        self.started = self.said = time.monotonic()
        self.done_then = 0  # when it was said
        self.bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def expect(self, products: int) -> None:
        if not self.total:
            self.said = time.monotonic()  # finding out what to do says nothing about the speed
        self.total = max(self.total, self.done + products)

    def advance(self, products: int) -> None:
        self.done += products
        self.total = max(self.total, self.done)
        now = time.monotonic()
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.update(products)
        elif sys.stderr.isatty():
            if now - self.started >= PATIENCE:
                self._draw(now)
        elif now - self.said >= EVERY:
            self._say(now)

    def _draw(self, now: float) -> None:
        width = min(100, shutil.get_terminal_size().columns)
        size = {
            "ncols": width,
            "nrows": 20,
        }  # not left to tqdm, which shows nothing on a terminal of size 0
        look = {"desc": self.label, "bar_format": BAR, "leave": False}
        self.bar = tqdm(total=self.total, smoothing=0.1, delay=1e9, **look, **size)
        self.bar.delay = 0
        self.bar.n, self.bar.start_t = self.done, self.bar.start_t - (now - self.started)
        self.bar.refresh()

    def _say(self, now: float) -> None:
        speed = (self.done - self.done_then) / (now - self.said)
        left = f", about {(self.total - self.done) / speed:.0f} s left" if speed else ""
        print(
            f"  {self.label}: {100 * self.done / self.total:.0f} % done{left}",
            file=sys.stderr,
            flush=True,
        )
        self.said, self.done_then = now, self.done
