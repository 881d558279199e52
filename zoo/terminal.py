"""What programs print: log lines, progress bars, aligned tables, sizes, durations and counts.

Bars and log lines go to standard error, so that standard output holds results alone.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal: a readable log
WIDEST = 100  # columns of a bar; a wider one is no easier to read
# tqdm hides bars beyond the terminal's height, and shows nothing on a terminal of height 0, as some
# pseudo terminals have. So the height is set: room for a bar per layer of an image.
_ROWS = 40
_one_line = threading.RLock()  # held while a line is printed, so that no other begins in it
_THOUSANDS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def log(text: str) -> None:
    """Print a line on standard error, indented as all that accompanies a result.

    Args:
        text: The line, without its end.
    """
    with above_bars():
        print(f"  {text}", file=sys.stderr, flush=True)


@contextmanager
def above_bars() -> Iterator[None]:
    """Keep bars off the terminal while lines are printed, and other threads from printing.

    Yields:
        Nothing.
    """
    with _one_line:
        # Without it there is no bar. It is half there while another thread imports it.
        tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
        if tqdm is None:
            yield
            return
        with tqdm.external_write_mode(sys.stderr):
            yield


class Progress:
    """Show how far a task is: a bar on a terminal, a line now and then elsewhere.

    It is a context manager: the bar goes when the block ends, however it ends.

    Attributes:
        label: What is done; it stands in front of the bar.
        done: Units that are done.
        total: Units in all; None if nobody knows.
        first: Units that were done before the task began.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        done: int = 0,
        line: Callable[[Progress], str | None] = lambda progress: None,
        after: float = 0.0,
        **bar: Any,
    ) -> None:
        """Begin a task.

        Args:
            label: What is done.
            total: Units in all, None if nobody knows.
            done: Units that an earlier start has done.
            line: Returns the line to log every LINE_SECONDS where there is no terminal, if any.
            after: Seconds before a bar appears, for tasks that are often short.
            bar: More arguments of `tqdm.tqdm`, such as `unit`, `unit_scale` and `bar_format`.
        """
        self.label, self.total, self.done, self.first = label, total, done, done
        self._line, self._after, self._options = line, after, bar
        self._bar: Any = None
        self._started = self._logged = time.monotonic()
        if after <= 0:
            self._draw()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the task began."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Units per second since the task began, without those that were done before."""
        return (self.done - self.first) / max(self.elapsed, 1e-9)

    @property
    def left(self) -> str:
        """', about 12 s left' as far as the rate tells; '' where it does not."""
        if self.total is None or self.rate <= 0:
            return ""
        return f", about {(self.total - self.done) / self.rate:.0f} s left"

    def move(self, done: int, total: int | None = None) -> None:
        """Show that the task is this far.

        Args:
            done: Units that are done.
            total: Units in all, if that has changed.
        """
        self.done = done
        self.total = self.total if total is None else total
        if self._bar is None:
            self._draw()
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.update(done - self._bar.n)
        elif not sys.stderr.isatty() and time.monotonic() - self._logged >= LINE_SECONDS:
            self._log_line()

    def describe(self, text: str) -> None:
        """Show another label in front of the bar.

        Args:
            text: The new label.
        """
        self.label = text
        if self._bar is not None:
            self._bar.set_description_str(f"  {text}")

    def log(self, text: str) -> None:
        """Log a line above the bar.

        Args:
            text: The line, without its end.
        """
        log(text)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _draw(self) -> None:
        if not sys.stderr.isatty() or self.elapsed < self._after:
            return
        from tqdm import tqdm  # not needed by programs that draw no bar

        self._bar = tqdm(
            desc=f"  {self.label}",
            total=self.total,
            initial=self.first,
            delay=1e-9,  # nothing is drawn before what follows, which the rate depends on
            leave=False,
            ncols=min(WIDEST, shutil.get_terminal_size().columns),
            nrows=_ROWS,
            **self._options,
        )
        # What was done, and the time that passed, before the bar appeared count, too.
        self._bar.start_t -= self.elapsed
        self._bar.n = self.done
        self._bar.refresh()

    def _log_line(self) -> None:
        self._logged = time.monotonic()
        line = self._line(self)
        if line is not None:
            log(line)


def show_download(name: str) -> Progress:
    """Return the progress of a download, in bytes: a bar on a terminal, nothing elsewhere.

    Args:
        name: The file's name.
    """
    return Progress(name, unit="B", unit_scale=True)


def format_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Format rows as aligned columns, two spaces apart, the last one ragged.

    Args:
        rows: Rows of equally many cells, the heading among them.

    Yields:
        One line per row.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows as aligned columns on standard output.

    Args:
        rows: Rows of equally many cells, the heading among them.
    """
    for line in format_table(rows):
        print(line)


def megabytes(size: float, digits: int = 1) -> str:
    """Return a size such as '1,234.5 MB'; a megabyte has 10^6 bytes, as disks are sold.

    Args:
        size: Bytes.
        digits: Digits behind the point.
    """
    return f"{size / 1e6:,.{digits}f} MB"


def gigabytes(size: float, digits: int = 1) -> str:
    """Return a size such as '12.3 GB'; a gigabyte has 10^9 bytes.

    Args:
        size: Bytes.
        digits: Digits behind the point.
    """
    return f"{size / 1e9:,.{digits}f} GB"


def plural(count: int, noun: str) -> str:
    """Return '1 chunk', '2 chunks' or '1,000 chunks'.

    Args:
        count: How many.
        noun: What, as one of it is called.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def first_of(names: Sequence[str], most: int) -> str:
    """Return 'a, b' of few names, or 'a, b and 3 more' of more than are to be said.

    Args:
        names: The names.
        most: How many are said.
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def duration(seconds: float) -> str:
    """Return a rough duration such as '40 s', '3 min' or '2.5 h'.

    Args:
        seconds: Seconds, at least 0.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def short_count(count: int) -> str:
    """Return a count of parameters such as '22.7 M' for 22713216, '-' for none.

    Args:
        count: The count, at least 0.
    """
    for size, unit in _THOUSANDS:
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count) if count else "-"
