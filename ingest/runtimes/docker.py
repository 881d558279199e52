"""The worker in a container of the family's image: no network, nothing to write but its output, no privilege."""

from __future__ import annotations

import json
import math
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container
from docker.types import DeviceRequest, LogConfig, Mount
from docker.utils.socket import frames_iter

from ingest.events import Log, OnEvent
from ingest.failures import Killed, OutOfMemory, RunError
from ingest.images import engine, local, registry
from ingest.images.containers import left_behind, me, remove
from ingest.images.engine import BROKEN, Engine, connected
from ingest.images.recipe import FAMILY, HOST, RUN
from ingest.limits import GRACE, Limits
from ingest.runtimes.venv import OFFLINE, POLITE
from ingest.runtimes.watch import Watch
from zoo.cards.family import Family
from zoo.weights.obtain import Place
from zoo.worker import others_can_change

SHARE = 0.9  # of the engine's memory that a worker may take where no limit is asked for
PIDS = 2048  # processes and threads; a worker has one process and some threads a core
SCRATCH = "rw,exec,nosuid,nodev,size=2g,mode=1777"  # of /tmp; kernels that are compiled there are also run from there
KILLED = 137  # exit code of a process that SIGKILL ended
STDERR = 2


class Docker:
    """Docker, or Podman through its Docker-compatible socket."""

    name = "docker"
    preference = 1
    confines = True

    def unavailable(self) -> str | None:
        reason = engine.unavailable()
        if reason is None and not engine.is_local(engine.address()):
            reason = f"the engine at {engine.address()} is on another machine, which does not see the folders of a run"
        return reason

    def lacking(self, family: Family) -> str | None:
        with connected() as client:
            return local.lacking(client, family)

    def ready(self, family: Family) -> bool:
        with connected() as client:
            return local.find(client, family) is not None

    def ensure(self, family: Family, say: Log) -> str | None:
        with connected(timeout=600) as client:
            found = local.find(client, family) or registry.pull(client, family, say)
        say(f"image {found}")
        return found

    def run(
        self,
        family: Family,
        job: Path,
        out: Path,
        weights: Place | None,
        on_event: OnEvent,
        limits: Limits,
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        with connected() as client, (out / "worker.log").open("ab", buffering=0) as log:
            about = Engine.ask(client)
            image = local.find(client, family)
            if image is None:
                raise RunError(
                    local.lacking(client, family)
                    or f"the image of {family.name} is not here any more"
                )
            left_behind(client, str(job.parent))
            options = _confinement(about, limits) | _labels(family, job) | _gpu(job)
            options["command"] = [
                "/job",
                "/out",
                "--tied",
                *_inside(weights),
                *options.get("command", []),
            ]
            with (
                _container(client, image, _mounts(job, out, weights), options) as container,
                _attached(client, container) as stream,
            ):
                with Watch(
                    on_event, log, limits.silence, lambda: _kill(container, stream)
                ) as watch:
                    _start(container)
                    _follow(stream, watch)
                    code = int(
                        container.wait(timeout=client.api.timeout)["StatusCode"]
                    )  # the SDK's default: for ever
                container.reload()
            if code or not (out / "run.json").exists():
                raise _failure(code, container, watch, about)


RUNTIME = Docker()


def _confinement(about: Engine, limits: Limits) -> dict[str, Any]:
    """What every container is kept from, and the limits asked for."""
    if limits.cpus is not None and limits.cpus > about.cpus:
        raise RunError(f"CPUS={limits.cpus:g} is more than the {about.cpus} that {about.name} has")
    memory = limits.memory or int(SHARE * about.memory)
    # In a rootless engine the container's root is the caller; any other user would be one that owns none of the files.
    user = "0:0" if about.rootless else f"{os.getuid()}:{os.getgid()}"
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
        "nano_cpus": int((limits.cpus or about.cpus) * 1e9),
        "pids_limit": PIDS,
        "init": True,
        "log_config": LogConfig(type="none"),
        "environment": POLITE | OFFLINE | threads,
    }


def _labels(family: Family, job: Path) -> dict[str, Any]:
    return {"labels": {FAMILY: family.name, RUN: str(job.parent), HOST: me()}}


def _gpu(job: Path) -> dict[str, Any]:
    """The one GPU that the job names, by number or UUID; inside it is the first."""
    kind, _, which = json.loads((job / "job.json").read_text())["device"].partition(":")
    if kind == "cpu":
        return {}
    request = DeviceRequest(driver="nvidia", device_ids=[which or "0"], capabilities=[["gpu"]])
    return {"command": ["--device", f"{kind}:0"], "device_requests": [request]}


def _mounts(job: Path, out: Path, weights: Place | None) -> list[Mount]:
    """What the container sees of this machine; of it all, it writes to /out only."""
    found = [
        Mount("/job", str(job), type="bind", read_only=True),
        Mount("/out", str(out), type="bind"),
    ]
    return found + (
        []
        if weights is None
        else [Mount("/weights", str(weights.root), type="bind", read_only=True)]
    )


def _inside(weights: Place | None) -> list[str]:
    """What the worker is told of where the weights lie."""
    if weights is None:
        return []
    files = (path for path in weights.folder.rglob("*") if path.is_file())
    shared = (
        ["--shared"] if any(map(others_can_change, files)) else []
    )  # inside, the folders above are not seen
    return ["--weights", str(Path("/weights") / weights.folder.relative_to(weights.root)), *shared]


@contextmanager
def _container(
    client: docker.DockerClient, image: str, mounts: list[Mount], options: dict[str, Any]
) -> Iterator[Container]:
    """A container that is made and not started yet; removed when this block ends."""
    try:
        container = client.containers.create(image, mounts=mounts, stdin_open=True, **options)
    except ImageNotFound as error:
        family = options["labels"][FAMILY]
        again = f"`make pull FAMILY={family}` or `make build FAMILY={family}` brings it back"
        raise RunError(f"image {image} has just been removed; {again}") from error
    try:
        if "device_requests" in options and not container.attrs["HostConfig"].get("DeviceRequests"):
            raise RunError(
                "this engine passes no GPU to a container that is asked for through its Docker socket"
            )
        yield container
    finally:
        with suppress(*BROKEN):  # the engine has ended: then the next run removes it
            remove(container)


@contextmanager
def _attached(client: docker.DockerClient, container: Container) -> Iterator[socket.SocketIO]:
    """All that the container says; and its standard input, which ends when this process does, however it ends.

    When this block ends the container is stopped, politely first, and only then its input: both are a signal to the
    worker, and a second one ends it before it has written what it holds.
    """
    parts = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    stream = client.api.attach_socket(container.id, params=parts)
    try:
        yield stream
    finally:
        with suppress(*BROKEN):
            container.stop(timeout=int(GRACE))  # Docker takes whole seconds only
        stream._response.close()  # of the SDK, which would leave it open
        stream.close()


def _start(container: Container) -> None:
    try:
        container.start()
    except APIError as error:
        if "device driver" in str(error.explanation):
            raise RunError(
                f"the engine cannot give a container a GPU ({error.explanation}); install NVIDIA's container toolkit, "
                "`make doctor` says more"
            ) from error
        raise


def _follow(stream: socket.SocketIO, watch: Watch) -> None:
    """Pass on what the container says, line by line, to its end."""
    rest = {1: b"", STDERR: b""}
    for number, chunk in frames_iter(stream, tty=False):
        *lines, rest[number] = (rest[number] + chunk).split(b"\n")
        for line in lines:
            watch.line(line + b"\n")
    for line in filter(None, rest.values()):
        watch.line(line + b"\n")


def _kill(container: Container, stream: socket.SocketIO) -> None:
    """End a container that hangs, and the wait for what it says, should the engine hang as well."""
    with suppress(*BROKEN):
        container.kill()
    with suppress(OSError):
        stream._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


def _failure(code: int, container: Container, watch: Watch, about: Engine) -> RunError:
    """Podman 4.3 never says that a container ran out of memory; one killed by none of us most likely has."""
    limit = f"its limit of {container.attrs['HostConfig']['Memory'] / 2**20:,.0f} MiB"
    kind: type[RunError] = RunError
    ending = f"exit code {code}" if code else "exit code 0, but no run.json"
    if code == KILLED and not watch.hung:
        kind, ending = Killed, "killed by SIGKILL from outside"
        if container.attrs["State"].get("OOMKilled"):
            kind, ending = OutOfMemory, f"killed because memory ran out, {limit}"
        elif about.name == "Podman":
            kind, ending = (
                OutOfMemory,
                f"killed, and Podman does not say why; most likely memory ran out, {limit}",
            )
    elif not watch.began:
        family, image = container.labels[FAMILY], container.attrs["Config"]["Image"]
        ending += f", and it never began; if {image} is no image of ours, remove it, and `make build FAMILY={family}`"
    return kind(_named_as_here(watch.why(ending), container))


def _named_as_here(text: str, container: Container) -> str:
    """What a worker says, with the names that its folders have outside of the container."""
    folders = {
        mount["Destination"]: mount["Source"]
        for mount in container.attrs["Mounts"]
        if mount["Type"] == "bind"
    }
    return re.sub(
        r"(?<![\w./-])(/job|/out|/weights)(?![\w.-])", lambda found: folders[found[1]], text
    )
