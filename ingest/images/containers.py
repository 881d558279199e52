"""The project's containers: which process each belongs to, and those that a process left behind."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from ingest.images.engine import BROKEN
from ingest.images.recipe import HOST, RUN
from ingest.limits import GRACE


def this_process() -> str:
    """Return the text that names this process on a container: machine, process id, start time.

    The start time is part of it because process ids are used again.
    """
    return f"{socket.gethostname()} {os.getpid()} {_start_time(os.getpid())}"


def list_containers(client: docker.DockerClient) -> list[Container]:
    """Return the containers of runs, whatever their state.

    Args:
        client: The engine to ask.
    """
    found: list[Container] = client.containers.list(
        all=True, filters={"label": RUN}, ignore_removed=True
    )
    return found


def remove_abandoned(client: docker.DockerClient, run: str | None = None) -> list[str]:
    """Remove the containers of processes that are gone, and this process's own of one run.

    A worker that still runs has lost its host; it gets some time to write what it holds.

    Args:
        client: The engine that holds the containers.
        run: The folder of a run that this process is about to start a container for. Another
            process that lives may have one that is to do the same run later. The run's id would
            not do, because two stores on one engine may compute the same run.

    Returns:
        The names of the removed containers.
    """
    abandoned = [
        container
        for container in list_containers(client)
        if _is_of(container, run) or not _is_alive(container.labels.get(HOST, ""))
    ]
    for container in abandoned:
        if container.status == "running":
            with suppress(*BROKEN):
                container.wait(timeout=GRACE)
        remove_container(container)
    return [str(container.name) for container in abandoned]


def remove_container(container: Container) -> None:
    """Kill a container if it runs, and remove it.

    Args:
        container: The container to remove; one that is gone already is no error.
    """
    with suppress(NotFound):
        container.remove(force=True, v=True)


def _is_of(container: Container, run: str | None) -> bool:
    """Return whether a container is this process's own, for one run or for several with it."""
    own = container.labels.get(HOST) == this_process()
    return own and run in container.labels[RUN].split("\n")


def _is_alive(owner: str) -> bool:
    """Return whether a container's process may still run; one of another machine always may."""
    parts = owner.rsplit(" ", 2)
    if len(parts) != 3 or parts[0] != socket.gethostname():
        return True
    return _start_time(int(parts[1])) == parts[2]


def _start_time(pid: int) -> str:
    """Return when a process began, in clock ticks since the machine started.

    Returns "-" if the system does not tell, and "" if the process is gone. A process that has
    ended and that its parent has not asked after is gone, too.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return "-"
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return "" if fields[0] in "ZX" else fields[19]
