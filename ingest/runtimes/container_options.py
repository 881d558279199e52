"""What a worker's container is given, and what it is kept from."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount

from ingest.failures import RunError
from ingest.images.containers import this_process
from ingest.images.engine import Engine
from ingest.images.recipe import FAMILY, HOST, RUN
from ingest.limits import Limits
from ingest.runtimes.venv import NO_SPINNING, OFFLINE
from zoo.cards.family import Family
from zoo.weights.local import LocalWeights
from zoo.worker.job import Job
from zoo.worker.loading import others_can_change

MEMORY_SHARE = 0.9  # of the engine's memory, for a worker without a limit; the host needs the rest
PROCESSES = 2048  # processes and threads; a worker is one process with some threads per processor
# /tmp may hold programs, because kernels that are compiled there are also run from there.
SCRATCH = "rw,exec,nosuid,nodev,size=2g,mode=1777"


def container_options(
    engine: Engine,
    family: Family,
    job: Path,
    out: Path,
    weights: LocalWeights | None,
    limits: Limits,
) -> dict[str, Any]:
    """Return the options of a worker's container, as docker's SDK names them.

    Args:
        engine: The engine that runs the container.
        family: The family of the worker.
        job: The folder with the job, which the container reads.
        out: The folder that the container writes to, and to nothing else.
        weights: Where the files of weights lie, which the container reads; None if there are none.
        limits: What the worker may use.

    Raises:
        RunError: If more processors are asked for than the engine has.
    """
    command = ["/job", "/out", "--tied", *_weights_options(weights)]
    labels = {FAMILY: family.name, RUN: str(job.parent), HOST: this_process()}
    options = {"command": command, "mounts": _mounts(job, out, weights), "labels": labels}
    return options | _confinement(engine, limits) | _gpu(job, command)


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
        "environment": NO_SPINNING | OFFLINE | threads,
    }


def _gpu(job: Path, command: list[str]) -> dict[str, Any]:
    """Return the options for the GPU that the job names; inside the container it is the first."""
    kind, _, which = Job.read(job).device.partition(":")
    if kind == "cpu":
        return {}
    request = DeviceRequest(driver="nvidia", device_ids=[which or "0"], capabilities=[["gpu"]])
    return {"command": [*command, "--device", f"{kind}:0"], "device_requests": [request]}


def _mounts(job: Path, out: Path, weights: LocalWeights | None) -> list[Mount]:
    """Return what the container sees of this machine."""
    mounts = [
        Mount("/job", str(job), type="bind", read_only=True),
        Mount("/out", str(out), type="bind"),
    ]
    if weights is not None:
        mounts.append(Mount("/weights", str(weights.root), type="bind", read_only=True))
    return mounts


def _weights_options(weights: LocalWeights | None) -> list[str]:
    """Return the worker's options that say where the weights lie inside the container."""
    if weights is None:
        return []
    files = (path for path in weights.folder.rglob("*") if path.is_file())
    # The worker cannot find out itself: it does not see the folders above from inside.
    shared = ["--shared"] if any(map(others_can_change, files)) else []
    return ["--weights", str(Path("/weights") / weights.folder.relative_to(weights.root)), *shared]
