"""How a worker is asked to end: by a signal, or because whoever started it is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from zoo.worker.errors import Stopped

# Seconds that a worker gets to finish its batch once its host is gone. It is less than the time for
# which the next worker waits for the folder, so that one finds it free.
ORPHAN_SECONDS = 20.0


class Signals:
    """SIGTERM and SIGINT end the run: at once while it loads, later between two batches.

    A second signal ends it at once. They are always handled, since the first process of a container
    gets no signal that it does not ask for.

    Attributes:
        received: The number of the signal that came; None if none has.
        between_batches: Whether the run ends only where `check` is called.
    """

    def __init__(self) -> None:
        """Handle both signals from now on."""
        self.received: int | None = None
        self.between_batches = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def check(self) -> None:
        """End the run if a signal has come.

        Raises:
            Stopped: One has; its name is the message.
        """
        if self.received is not None:
            raise Stopped(signal.Signals(self.received).name)

    def _note(self, number: int, frame: Any) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)
        if not self.between_batches:
            self.check()


def end_with_standard_input(stop: Signals) -> None:
    """End as by SIGTERM when standard input ends, which whoever started this process holds open.

    A worker that has been asked to end already is left to it: a second signal would end it before
    it has written. One that hangs is killed after ORPHAN_SECONDS.

    Args:
        stop: What notes signals.
    """

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        if stop.received is None:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="end_with_standard_input", daemon=True).start()
