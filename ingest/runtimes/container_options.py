"""What a worker's container is given, and what it is kept from."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount

from ingest.failures import RunError
from ingest.images.containers import this_process
from ingest.images.engine import Engine
from ingest.images.recipe import FAMILY, HOST, RUN
from ingest.limits import Limits
from ingest.runtimes.venv import KEEP_MEMORY, OFFLINE, ONE_BLAS_THREAD
from ingest.runtimes.worker import JobPlaces
from zoo.cards.family import Family
from zoo.variables import NO_SPINNING
from zoo.worker.events import Assignment
from zoo.worker.job import Job
from zoo.worker.loading import others_can_change

MEMORY_SHARE = 0.9  # of the engine's memory, for a worker without a limit; the host needs the rest
PROCESSES = 2048  # processes and threads; a worker is one process with some threads per processor
# /tmp may hold programs, because kernels that are compiled there are also run from there.
SCRATCH = "rw,exec,nosuid,nodev,size=2g,mode=1777"


@dataclass(frozen=True)
class MountedPlaces:
    """Where the folders of some jobs lie inside a container.

    Attributes:
        inside: The path inside, by the path on this machine.
        read_only: The paths inside of those that are only read.
    """

    inside: dict[Path, Path]
    read_only: frozenset[Path]

    @classmethod
    def of(cls, jobs: Sequence[JobPlaces]) -> MountedPlaces:
        """Return the places for some jobs.

        Args:
            jobs: The jobs, each of which has folders `/job/<number>` and `/out/<number>`. Weights
                may be shared.
        """
        inside = {}
        for number, places in enumerate(jobs):
            inside[places.job] = Path(f"/job/{number}")
            inside[places.out] = Path(f"/out/{number}")
        roots = dict.fromkeys(places.weights.root for places in jobs if places.weights)
        inside |= {root: Path(f"/weights/{number}") for number, root in enumerate(roots)}
        read_only = {path for path in inside.values() if path.parts[1] != "out"}
        return cls(inside, frozenset(read_only))

    def mounts(self) -> list[Mount]:
        """Return what the container sees of this machine."""
        return [
            Mount(str(inside), str(outside), type="bind", read_only=inside in self.read_only)
            for outside, inside in self.inside.items()
        ]

    def assign(self, places: JobPlaces) -> Assignment:
        """Return what a worker in the container is told of a job.

        Args:
            places: Where the job lies on this machine.
        """
        job, out = self.inside[places.job], self.inside[places.out]
        if places.weights is None:
            return Assignment(job, out)
        folder, root = places.weights.folder, places.weights.root
        files = (path for path in folder.rglob("*") if path.is_file())
        # The worker cannot find out itself: it does not see the folders above from inside.
        shared = any(map(others_can_change, files))
        return Assignment(job, out, self.inside[root] / folder.relative_to(root), shared)

    def with_local_paths(self, text: str) -> str:
        """Replace the names of folders inside the container by their names on this machine.

        Args:
            text: A message of the worker.
        """
        outside = {str(inside): str(outside) for outside, inside in self.inside.items()}
        names = "|".join(map(re.escape, sorted(outside, key=len, reverse=True)))
        return re.sub(rf"(?<![\w./-])({names})(?![\w.-])", lambda found: outside[found[1]], text)


def container_options(
    engine: Engine, family: Family, jobs: Sequence[JobPlaces], limits: Limits
) -> dict[str, Any]:
    """Return the options of a worker's container, as docker's SDK names them.

    Args:
        engine: The engine that runs the container.
        family: The family of the worker.
        jobs: The jobs that it may be given. It reads their jobs and weights, and writes to their
            outputs and to nothing else. The device is that of the first.
        limits: What the worker may use.

    Raises:
        RunError: If more processors are asked for than the engine has.
    """
    runs = "\n".join(str(places.job.parent) for places in jobs)
    labels = {FAMILY: family.name, RUN: runs, HOST: this_process()}
    mounts = MountedPlaces.of(jobs).mounts()
    options = {"command": [], "mounts": mounts, "labels": labels}
    return options | _confinement(engine, limits) | _gpu(jobs[0].job)


def _confinement(engine: Engine, limits: Limits) -> dict[str, Any]:
    """Return what every container is kept from, and the limits that were asked for."""
    if limits.cpus is not None and limits.cpus > engine.cpus:
        raise RunError(
            f"--cpus {limits.cpus:g} is more than the {engine.cpus} that {engine.name} has"
        )
    memory = limits.memory or int(MEMORY_SHARE * engine.memory)
    # In a rootless engine the container's root is the caller. Any other user would own no file.
    user = "0:0" if engine.rootless else f"{os.getuid()}:{os.getgid()}"
    threads = {} if limits.cpus is None else {"OMP_NUM_THREADS": str(math.ceil(limits.cpus))}
    return {
        "user": user,
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": SCRATCH},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int((limits.cpus or engine.cpus) * 1e9),
        "pids_limit": PROCESSES,
        "init": True,
        "log_config": LogConfig(type="none"),
        "environment": NO_SPINNING | ONE_BLAS_THREAD | KEEP_MEMORY | OFFLINE | threads,
    }


def _gpu(job: Path) -> dict[str, Any]:
    """Return the options for the GPU that the job names; inside the container it is the first."""
    kind, _, which = Job.read(job).device.partition(":")
    if kind == "cpu":
        return {}
    request = DeviceRequest(driver="nvidia", device_ids=[which or "0"], capabilities=[["gpu"]])
    return {"command": ["--device", f"{kind}:0"], "device_requests": [request]}
