"""What this machine has for programs: processors and memory, as far as control groups let them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
MEMBERSHIP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


def count_cores() -> int:
    """Return how many processors this process may use; macOS does not say, so there it is all."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    shares = [cores or 1]
    for group in _groups():
        share = _words(group / "cpu.max")
        share = share or _words(group / "cpu.cfs_quota_us") + _words(group / "cpu.cfs_period_us")
        if len(share) == 2 and share[0] not in ("max", "-1"):
            shares.append(int(share[0]) // int(share[1]))
    return max(1, min(shares))


def free_memory() -> int | None:
    """Return how many bytes of memory programs could still take; None if nobody says."""
    text = MEMINFO.read_text() if MEMINFO.exists() else ""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    free = [int(found[1]) * 1024] if found else []
    for group in _groups():
        most = _words(group / "memory.max") or _words(group / "memory.limit_in_bytes")
        taken = _words(group / "memory.current") or _words(group / "memory.usage_in_bytes")
        if most and taken and most[0] != "max":
            words = _words(group / "memory.stat")
            stat = dict(zip(words[::2], words[1::2], strict=False))
            # Of files that were read; the kernel drops it as soon as programs want memory.
            dropped = stat.get("total_inactive_file", stat.get("inactive_file", "0"))
            free.append(max(0, int(most[0]) - int(taken[0]) + int(dropped)))
    return min(free, default=None)


def _groups() -> Iterator[Path]:
    """Yield the folders of the control groups, of version 1 or 2, that this process is in.

    A container may see its own group as the root of all, and name another in MEMBERSHIP.
    """
    lines = MEMBERSHIP.read_text().splitlines() if MEMBERSHIP.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = GROUPS / controllers
        folder = root / path.lstrip("/")
        yield from (group for group in (folder, *folder.parents) if group.is_relative_to(root))


def _words(file: Path) -> list[str]:
    """Return the words of a control group's file; none if there is no such file."""
    try:
        return file.read_text().split()
    except OSError:
        return []
