"""A matrix whose strips tasks of Ray find has the bits of one that a query computes."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.executors.slurm.strips import list_matrices
from tests.ingest.cluster.conftest import wait_for
from tests.ingest.cluster.matrices import N, ask, make
from tests.ingest.cluster.ray.conftest import Cluster, ray

pytestmark = pytest.mark.cluster


def kill_task(key: str) -> None:
    """Kill the program of the first task, as the system does for memory; see it started again."""
    wait_for(lambda: pid_of_task(key))
    before = pid_of_task(key)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: pid_of_task(key) not in (None, before))


def pid_of_task(key: str) -> int | None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode().split("\0")
            if {"matrix-work", key} <= {*words} and words[words.index("--task") + 1] == "0":
                return int(path.parent.name)
    return None


def test_a_node_of_ray_is_lost_in_the_middle(cluster: Cluster) -> None:
    line = make(cluster.layout.store)
    with cluster.start(*line, "--on", "ray", "--nodes", "2") as process:
        wait_for(lambda: list_matrices(cluster.layout))
        (jobs,) = list_matrices(cluster.layout)
        wait_for(lambda: jobs.found > 0)
        kill_task(jobs.key)
        ray("node-kill", str(cluster.folder), "n2")
        try:
            said = process.communicate(timeout=300)[0]
        finally:
            ray("node-start", str(cluster.folder), "n2")
    assert process.returncode == 0, said
    assert "2 nodes, 2 CPUs" in said
    assert "task 0 was lost, and is started again: its program was killed by SIGKILL" in said
    assert f"matrix {jobs.key} is kept: 18 rows" in said
    found, products = ask(cluster.layout.store)
    assert products == 0
    assert {row.n for row in found} == {N}
    (jobs.layout.matrices / f"{jobs.key}.parquet").unlink()
    local, products = ask(cluster.layout.store)
    assert products > 0
    assert found == local
