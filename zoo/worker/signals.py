"""How a worker is asked to end: by a signal, or because whoever started it is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from zoo.worker.errors import Stopped

# Seconds that a worker gets to finish its batch once its host is gone. It is less than the time for
# which the next worker waits for the folder, so that one finds it free.
ORPHAN_SECONDS = 20.0
# Seconds after a signal in which others are the same request: a cluster's scheduler signals every
# process of a task, and Apptainer's processes, two of them, each pass on what they got.
ECHO_SECONDS = 2.0


class Signals:
    """SIGTERM and SIGINT end the run: at once while it loads, later between two batches.

    A second signal ends it at once, unless it comes within ECHO_SECONDS of the first. They are
    always handled, since the first process of a container gets no signal that it does not ask for.

    Attributes:
        received: The number of the signal that came; None if none has.
        between_batches: Whether the run ends only where `check` is called.
    """

    def __init__(self) -> None:
        """Handle both signals from now on."""
        self.received: int | None = None
        self.between_batches = False
        self._first = 0.0  # when the first came, on the clock of time.monotonic
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def check(self) -> None:
        """End the run if a signal has come.

        Raises:
            Stopped: One has; its name is the message.
        """
        if self.received is not None:
            raise Stopped(signal.Signals(self.received).name)

    def ignore(self) -> None:
        """Ignore both signals from now on, since the process ends already."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, frame: Any) -> None:
        if self.received is not None:
            if time.monotonic() - self._first > ECHO_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self.received, self._first = number, time.monotonic()
        if not self.between_batches:
            self.check()


def end_with_standard_input(stop: Signals) -> None:
    """End as by SIGTERM when standard input ends, which whoever started this process holds open.

    A worker that has been asked to end already is left to it: a second signal would end it before
    it has written. One that hangs is killed after ORPHAN_SECONDS.

    Args:
        stop: What notes signals.
    """
    _StandardInput(stop, given=1).read_in_a_thread()


def read_standard_input(stop: Signals, tidy_up: Callable[[], object]) -> Iterator[bytes]:
    """Yield the lines of standard input, whose end ends the work on a line as by SIGTERM.

    Args:
        stop: What notes signals.
        tidy_up: Called when the work on a line is done.

    Yields:
        Each line. The work on it is done when the next one is asked for.

    Raises:
        Stopped: A signal has come.
    """
    source = _StandardInput(stop)
    source.read_in_a_thread()
    while (line := source.lines.get()) is not None:
        yield line
        source.done += 1
        stop.between_batches = False
        stop.check()
        tidy_up()


class _StandardInput:
    """Standard input, read by a thread that ends this process if its end leaves work undone.

    Attributes:
        lines: What has been read; None: there is no further line.
        given: How many pieces of work have come; only the thread changes it.
        done: How many of them are done; only the main thread changes it.
    """

    def __init__(self, stop: Signals, given: int = 0) -> None:
        self.lines: SimpleQueue[bytes | None] = SimpleQueue()
        self.given, self.done = given, 0
        self._stop = stop

    def read_in_a_thread(self) -> None:
        threading.Thread(target=self._read, name="standard input", daemon=True).start()

    def _read(self) -> None:
        rest = b""
        with suppress(OSError):
            while part := os.read(0, 65_536):
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    self.given += 1
                    self.lines.put(line)
        self.lines.put(None)
        if self.given > self.done:
            self._end()

    def _end(self) -> None:
        if self._stop.received is None:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
