"""What the host does while a worker runs: its events are passed on, its other words kept, its silence noticed."""

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

from ingest.events import Event, OnEvent

VMSTAT = Path("/proc/vmstat")
TAIL = 8  # lines of the log that an error shows


class Watch:
    """Takes what a worker says, line by line, and calls kill() once if it says nothing for `silence` seconds.

    A context manager. `began`: the worker has sent an event. `fatal`: its own last word, if it sent an error event.
    `hung`: it was silent too long. kill() is called by a thread of the watch; it must not raise.
    """

    def __init__(
        self, on_event: OnEvent, log: BinaryIO, silence: float, kill: Callable[[], None]
    ) -> None:
        self.on_event, self.log, self.silence, self.kill = on_event, log, silence, kill
        self.began = False
        self.fatal: str | None = None
        self.hung = False
        self._begins = log.seek(0, os.SEEK_END)
        self._oom_kills = oom_kills()
        self._heard = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._heard = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def line(self, line: bytes) -> None:
        """Take one line: an event is passed on, anything else goes to the log."""
        self._heard = time.monotonic()
        event = _event(line)
        if event is not None:
            self.began = True
            if event["event"] == "error":
                self.fatal = str(event.get("message"))
            self.on_event(event)
        elif line.strip():
            with suppress(OSError):  # a disk that is full: the worker itself meets it, and says so
                self.log.write(line)

    @property
    def starved(self) -> bool:
        """Whether the kernel has killed a process on this machine for want of memory since the watch began."""
        return oom_kills() > self._oom_kills

    def why(self, ending: str) -> str:
        """What a worker's early end is told as: its silence, its own last word, or how it ended and the log's end."""
        if self.hung:
            ending = f"no sign of life for {self.silence:g} s: taken for hung and ended; TIMEOUT=… allows more"
        elif self.fatal is not None:
            return self.fatal
        return f"the worker ended early ({ending}); all it said is in {self.log.name}{self._tail()}"

    def _tail(self) -> str:
        log = Path(self.log.name)
        with log.open("rb") as file:
            file.seek(max(self._begins, log.stat().st_size - 65_536))
            lines = file.read().decode(errors="replace").strip().splitlines()[-TAIL:]
        return ", last:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""

    def _listen(self) -> None:
        while (left := self._heard + self.silence - time.monotonic()) > 0:
            if self._ended.wait(left):
                return
        self.hung = True
        self.kill()


def oom_kills() -> int:
    """How often the kernel's out-of-memory killer has been at work on this machine; 0 where that is not counted."""
    found = (
        re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
        if VMSTAT.exists()
        else None
    )
    return int(found[1]) if found else 0


def _event(line: bytes) -> Event | None:
    if not line.startswith(b'{"event"'):
        return None
    try:
        event: Event = json.loads(line)
    except ValueError:
        return None
    return event
