"""What the host does while a worker runs: pass on its events, keep its output, notice silence."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ingest.callbacks import Event, OnEvent

VMSTAT = Path("/proc/vmstat")
EXCERPT = 8  # lines of the log that an error shows
EXCERPT_BYTES = 65_536  # of the log's end, among which those lines are looked for


class Watch:
    """Takes a worker's output line by line, and calls `kill` once if it is silent for too long.

    It is a context manager, which watches for silence until its block ends.

    Attributes:
        began: Whether the worker has sent an event.
        finished: Whether it has sent that its job is done.
        fatal: The message of the worker's error event; None if it sent none.
        hung: Whether the worker was silent too long.
    """

    def __init__(
        self, on_event: OnEvent, log_file: BinaryIO, silence: float, kill: Callable[[], None]
    ) -> None:
        """Prepare to watch a worker.

        Args:
            on_event: Is called with each event of the worker.
            log_file: Takes the rest of the worker's output; open for appending.
            silence: Seconds without a line, after which the worker counts as hung.
            kill: Ends the worker. It is called by a thread of the watch and must not raise.
        """
        self.began = self.finished = False
        self.fatal: str | None = None
        self.hung = False
        self._on_event, self._log_file = on_event, log_file
        self._silence, self._kill = silence, kill
        self._log_start = log_file.seek(0, os.SEEK_END)
        self._oom_kills = count_oom_kills()
        self._last_line = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait_for_silence, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._last_line = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def take_line(self, line: bytes) -> None:
        """Pass an event on, and write any other line to the log.

        Args:
            line: One line of the worker's output, with its end of line.
        """
        self._last_line = time.monotonic()
        event = _parse_event(line)
        if event is not None:
            self.began = True
            self.finished = event["event"] == "finish"
            if event["event"] == "error":
                self.fatal = str(event.get("message"))
            self._on_event(event)
        elif line.strip():
            with suppress(OSError):  # the worker itself meets the full disk, and reports it
                self._log_file.write(line)

    @property
    def memory_ran_out(self) -> bool:
        """Whether the kernel has killed a process of this machine for its memory meanwhile."""
        return count_oom_kills() > self._oom_kills

    def explain(self, ending: str) -> str:
        """Return the message of a worker that ended early.

        Args:
            ending: How the worker's process ended. It is named unless the worker was silent or
                sent an error event, which say more.
        """
        if self.hung:
            ending = (
                f"no sign of life for {self._silence:g} s: counted as hung and ended; "
                "--timeout allows more"
            )
        elif self.fatal is not None:
            return self.fatal
        name = self._log_file.name
        return f"the worker ended early ({ending}); its output is in {name}{self._log_excerpt()}"

    def _log_excerpt(self) -> str:
        """Return the last lines that this worker, and none before it, has written to the log."""
        path = Path(self._log_file.name)
        with path.open("rb") as file:
            file.seek(max(self._log_start, path.stat().st_size - EXCERPT_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()[-EXCERPT:]
        return ", last:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""

    def _wait_for_silence(self) -> None:
        while (left := self._last_line + self._silence - time.monotonic()) > 0:
            if self._ended.wait(left):
                return
        self.hung = True
        self._kill()


def count_oom_kills() -> int:
    """Return how many processes the kernel has killed for their memory; 0 if it does not count."""
    if not VMSTAT.exists():
        return 0
    found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _parse_event(line: bytes) -> Event | None:
    if not line.startswith(b'{"event"'):
        return None
    try:
        event: Event = json.loads(line)
    except ValueError:
        return None
    return event
