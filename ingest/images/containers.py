"""Our containers: whose they are, and those that a host process left behind."""

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


def me() -> str:
    """The process that a container belongs to: machine, process id, and when it began, since ids are used again."""
    return f"{socket.gethostname()} {os.getpid()} {_began(os.getpid())}"


def ours(client: docker.DockerClient) -> list[Container]:
    """Every container of a run, of whatever state."""
    found: list[Container] = client.containers.list(
        all=True, filters={"label": RUN}, ignore_removed=True
    )
    return found


def left_behind(client: docker.DockerClient, run: str | None = None) -> list[str]:
    """Remove the containers whose process is gone, and those of a run that nobody else works on. Returns names.

    The worker of one that still runs has lost its host, and gets some time to write what it holds.
    run: its folder. Its name would not do: two stores on one engine may compute the same.
    """
    left = [
        c for c in ours(client) if c.labels.get(RUN) == run or not _alive(c.labels.get(HOST, ""))
    ]
    for container in left:
        if container.status == "running":
            with suppress(*BROKEN):
                container.wait(timeout=GRACE)
        remove(container)
    return [str(container.name) for container in left]


def remove(container: Container) -> None:
    """Kill it if it runs, and remove it; one that is gone already is fine."""
    with suppress(NotFound):
        container.remove(force=True, v=True)


def _alive(owner: str) -> bool:
    """Whether a container's process still runs. That of another machine is none of our business, so it does."""
    parts = owner.rsplit(" ", 2)
    if len(parts) != 3 or parts[0] != socket.gethostname():
        return True
    return _began(int(parts[1])) == parts[2]


def _began(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; '-' if the system does not tell, '' if it is gone.

    One that has ended and that its parent has not asked after is gone too.
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
