"""How far a question is, as `query.engine` reports it."""

from __future__ import annotations

import time

from zoo import terminal

PATIENCE = 2.0  # seconds that nobody needs an explanation for
TELLING = 0.05  # of all that is to do: before, the start (code that is compiled) hides the speed
_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} so far, about {remaining} left"
_LABEL = "comparing models"


class Progress:
    """Count products of two vectors, and show how far a question is.

    One serves all that a question takes: datasets, groups of systems and metrics. `expect` says
    what is ahead from here on, as far as it was not said before. It is a context manager: at its
    end the bar goes.

    Attributes:
        done: Products that were computed.
        total: Products in all, as far as is known.
    """

    def __init__(self, label: str = _LABEL) -> None:
        """Begin a question.

        Args:
            label: What is done.
        """
        self.done = self.total = 0
        self._label = label
        self._logged, self._done_then = time.monotonic(), 0
        self._bar: terminal.Progress | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, products: int) -> None:
        """Announce work.

        Args:
            products: Products of two vectors that are ahead.
        """
        if self._bar is None:
            self._begin()
        self.total = max(self.total, self.done + products)

    def advance(self, products: int) -> None:
        """Report work as done.

        Args:
            products: Products of two vectors that were computed.
        """
        self.done += products
        self.total = max(self.total, self.done)
        bar = self._begin() if self._bar is None else self._bar
        bar.move(self.done, self.total)

    def _begin(self) -> terminal.Progress:
        """Start the clock: finding out what to do says nothing about the speed."""
        self._logged = time.monotonic()
        self._bar = terminal.Progress(
            self._label, line=self._line, after=PATIENCE, bar_format=_BAR, smoothing=0.1
        )
        return self._bar

    def _line(self, bar: terminal.Progress) -> str:
        """Return a line for a log.

        What remains is judged by the speed since the last line, since a model with neighbors that
        are kept from an earlier question takes next to no time.
        """
        now = time.monotonic()
        speed = (self.done - self._done_then) / max(now - self._logged, 1e-9)
        told = speed and self.done >= TELLING * self.total
        left = f", about {(self.total - self.done) / speed:.0f} s left" if told else ""
        self._logged, self._done_then = now, self.done
        return f"{bar.label}: {100 * self.done / self.total:.0f} % done{left}"
