"""What a worker may use, and what this machine has for it: memory, processors, and time."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

GRACE = 10.0  # s that a worker gets after SIGTERM, in which it writes the shard that it holds
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Limits:
    """What a worker may use.

    Attributes:
        memory: Bytes of memory; None sets no limit of the user's.
        cpus: Number of processors, which need not be whole; None allows all.
        silence: Seconds without a line from the worker, after which it counts as hung.
        threads: Threads that its packages compute with; None leaves that to them.
    """

    memory: int | None = None
    cpus: float | None = None
    silence: float = 1800.0
    threads: int | None = None


def count_cores() -> int:
    """Return how many processors this process may use; macOS does not say, so there it is all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Return how many bytes of memory programs could still take; None if nobody says."""
    text = MEMINFO.read_text() if MEMINFO.exists() else ""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
