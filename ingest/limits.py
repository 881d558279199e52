"""What a worker may use: memory, processors, and time."""

from __future__ import annotations

from dataclasses import dataclass

GRACE = 10.0  # s that a worker gets after SIGTERM, in which it writes the shard that it holds


@dataclass(frozen=True)
class Limits:
    """What a worker may use.

    Attributes:
        memory: Bytes of memory; None sets no limit of the user's.
        cpus: Number of processors, which need not be whole; None allows all.
        silence: Seconds without a line from the worker, after which it counts as hung.
        threads: Threads that its packages compute with; None leaves that to them.
        grace: Seconds that it gets to end when it is asked to, before it is asked again.
    """

    memory: int | None = None
    cpus: float | None = None
    silence: float = 1800.0
    threads: int | None = None
    grace: float = GRACE
