"""What a worker and its host tell each other while a run goes on.

The host gives the worker its assignments on standard input, one JSON object per line, the next one
after the last has finished. The worker sends events to standard error, one JSON object per line,
and keeps in a file at which system it is. The host leaves advice beside the job about systems at
which earlier workers were killed.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.encoder import System
from zoo.worker.applicability import describe_size
from zoo.worker.sealed import read_sealed

EVENT_SECONDS = 0.2  # between two events of progress: often enough for a bar that moves
LOG_FILE = "worker.log"  # in the folder of the shards: what the family's packages print
CURRENT_FILE = "current.json"  # in the folder of the shards: the system that the worker is at
ADVICE_FILE = "advice.json"  # beside job.json: what the host has learned from killed workers


@dataclass(frozen=True)
class Assignment:
    """One job for a worker: where it reads and writes.

    Attributes:
        job: The folder with job.json and systems.parquet.
        out: The folder for the shards and run.json.
        weights: The folder of the model's files, if the host gives one.
        shared: Whether others than this user can change the files of weights.
    """

    job: Path
    out: Path
    weights: Path | None = None
    shared: bool = False

    @classmethod
    def parse(cls, line: bytes) -> Assignment:
        """Return the assignment that a line of standard input holds.

        Args:
            line: What `to_line` made.
        """
        found = json.loads(line)
        weights = found["weights"] and Path(found["weights"])
        return cls(Path(found["job"]), Path(found["out"]), weights, found["shared"])

    def to_line(self) -> bytes:
        """Return the assignment as one line, with its end of line."""
        weights = None if self.weights is None else str(self.weights)
        found = {"job": str(self.job), "out": str(self.out)}
        return json.dumps({**found, "weights": weights, "shared": self.shared}).encode() + b"\n"


def send_event(event: str, **content: Any) -> None:
    """Write one event to standard error.

    Args:
        event: 'start', 'progress', 'warning', 'finish' or 'error'.
        content: The other fields of the event; plain data.
    """
    with suppress(OSError):  # what was printed before comes before the event; a disk may be full
        sys.stdout.flush()
    # The newline in front ends a half line that a package may have left there.
    begin = "" if event == "progress" else "\n"
    sys.stderr.write(begin + json.dumps({"event": event, **content}) + "\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class Advice:
    """What the host has learned from workers of the same run that were killed.

    Attributes:
        suspect: The system at which the last one was killed: its window begins with it, alone.
        too_large: {system_id: why it is not tried any more}.
    """

    suspect: str | None = None
    too_large: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Advice:
        """Read the advice of a job's folder; where there is no file, there is none.

        Args:
            folder: The folder with job.json.

        Returns:
            What the file says.

        Raises:
            DamagedFileError: The file is not as it was written.
        """
        path = folder / ADVICE_FILE
        content = read_sealed(path) if path.exists() else {}
        return cls(content.get("suspect"), content.get("too_large", {}))


class CurrentSystem:
    """The file that says which system is worked on; the host reads it if this process is killed.

    It is written in place, which takes microseconds: it has to outlive this process, not the
    machine.
    """

    def __init__(self, out: Path) -> None:
        """Create the file.

        Args:
            out: The folder of the shards.
        """
        self._path, self._longest = out / CURRENT_FILE, 0
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def note(self, system: System | None, *, alone: bool, ok: int) -> None:
        """Note what is worked on from now on.

        Args:
            system: The system; None for several.
            alone: Whether no other prepared system is held in memory.
            ok: The number of vectors so far.
        """
        about: dict[str, Any] = {"system_id": None}
        if system is not None:
            about = {"system_id": system.system_id, "size": describe_size(system)}
        text = json.dumps({**about, "alone": alone, "ok": ok}).encode()
        self._longest = max(self._longest, len(text))
        os.pwrite(self._file, text.ljust(self._longest), 0)

    def close(self) -> None:
        """Remove the file: nothing is worked on any more."""
        os.close(self._file)
        self._path.unlink(missing_ok=True)
