"""What this machine has is no more than what its control groups leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo import machine
from zoo.machine import count_cores, free_memory

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes the kernel's files, for a machine of 1 GiB."""
    (tmp_path / "meminfo").write_text("MemFree:  5 kB\nMemAvailable:    1048576 kB\n")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)

    def write(membership: str, **files: str) -> None:
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            file = tmp_path / "groups" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return write


def test_no_group_limits_nothing(write: Write) -> None:
    assert (count_cores(), free_memory()) == (16, 2**30)
    write("0::/user\n", **{"user/cpu.max": "max 100000\n", "user/memory.max": "max\n"})
    assert (count_cores(), free_memory()) == (16, 2**30)


def test_a_group_and_those_above_it_limit_processors_and_memory(write: Write) -> None:
    write("0::/user/job\n", **{"user/cpu.max": "350000 100000\n", "user/job/cpu.max": "max 1\n"})
    assert count_cores() == 3
    files = {"memory.max": "5000", "memory.current": "3000", "memory.stat": "inactive_file 700\n"}
    write("0::/user/job\n", **{f"user/job/{name}": text for name, text in files.items()})
    assert free_memory() == 2700
    write("0::/user/job\n", **{"user/cpu.max": "50000 100000", "user/job/memory.current": "9000"})
    assert (count_cores(), free_memory()) == (1, 0)


def test_so_do_groups_of_version_1_which_a_container_sees_as_the_root(write: Write) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "memory/memory.limit_in_bytes": "5000\n",
        "memory/memory.usage_in_bytes": "3000\n",
        "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 700\n",
    }
    write("4:memory:/docker/5f\n1:cpu,cpuacct:/docker/5f\n", **files)
    assert (count_cores(), free_memory()) == (2, 2700)
    unlimited = {"memory/memory.limit_in_bytes": str(2**63 - 4096)}
    write("4:memory:/docker/5f\n", **unlimited, **{"cpu,cpuacct/cpu.cfs_quota_us": "-1"})
    assert (count_cores(), free_memory()) == (16, 2**30)


def test_this_machine_has_both() -> None:
    assert count_cores() >= 1
    free = free_memory()
    assert free is None or free > 2**20
