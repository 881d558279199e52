"""The runtime that starts a worker in a container of its family's image.

The container has no network and no privilege, and writes to its output only.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from ingest.callbacks import Log, OnEvent
from ingest.failures import Killed, OutOfMemory, RunError
from ingest.images import engine, local_images, push_pull
from ingest.images.containers import remove_abandoned, remove_container
from ingest.images.engine import BROKEN, Engine, connected
from ingest.images.recipe import FAMILY
from ingest.limits import GRACE, Limits
from ingest.runtimes.container_options import container_options
from ingest.runtimes.watch import Watch
from zoo.cards.family import Family
from zoo.weights.local import LocalWeights

PULL_SECONDS = 600.0  # s that the engine gets for an answer while it pulls an image
KILLED = 137  # the exit code of a process that SIGKILL ended
STDOUT, STDERR = 1, 2  # how the engine numbers a container's outputs


class Docker:
    """The runtime of Docker, and of Podman through its socket."""

    name = "docker"
    preference = 1
    confines = True

    def unavailable(self) -> str | None:
        """Return why no local engine can be used, or None if one answers."""
        reason = engine.unavailable()
        if reason is None and not engine.is_local(engine.address()):
            reason = (
                f"the engine at {engine.address()} is on another machine, which does not see the "
                "folders of a run"
            )
        return reason

    def lacking(self, family: Family) -> str | None:
        """Return why there is no image of the family, or None if one is here or published.

        Args:
            family: The family to run.
        """
        with connected() as client:
            return local_images.missing_image(client, family)

    def ready(self, family: Family) -> bool:
        """Return whether an image of the family as it is now is here.

        Args:
            family: The family of the image.
        """
        with connected() as client:
            return local_images.find_image(client, family) is not None

    def ensure(self, family: Family, log: Log) -> str | None:
        """Pull the published image of the family unless an image is here.

        Args:
            family: The family to make ready.
            log: Shows progress, one line per call.

        Returns:
            The published image's `registry/name@sha256:…`, or the id of one that was built here.

        Raises:
            RunError: If there is no image, or it cannot be pulled.
        """
        with connected(timeout=PULL_SECONDS) as client:
            found = local_images.find_image(client, family) or push_pull.pull(client, family, log)
        log(f"image {found}")
        return found

    def run(
        self,
        family: Family,
        job: Path,
        out: Path,
        weights: LocalWeights | None,
        on_event: OnEvent,
        limits: Limits,
    ) -> None:
        """Run the worker to its end, as `ingest.runtimes.protocol.Runtime.run` says.

        Args:
            family: The family of the worker.
            job: The folder with the job.
            out: The folder for what the worker writes.
            weights: Where the files of weights lie; None if there are none.
            on_event: Is called with each event of the worker.
            limits: What the worker may use.

        Raises:
            RunError: If the worker does not finish.
        """
        out.mkdir(parents=True, exist_ok=True)
        with connected() as client, (out / "worker.log").open("ab", buffering=0) as log_file:
            about = Engine.ask(client)
            image = local_images.find_image(client, family)
            if image is None:
                raise RunError(
                    local_images.missing_image(client, family)
                    or f"the image of {family.name} is not here any more"
                )
            remove_abandoned(client, str(job.parent))
            options = container_options(about, family, job, out, weights, limits)
            with (
                _created(client, image, options) as container,
                _attached(client, container) as stream,
            ):
                with Watch(
                    on_event, log_file, limits.silence, lambda: _kill(container, stream)
                ) as watch:
                    _start(container)
                    _follow(stream, watch)
                    # Without a limit the SDK would wait for ever.
                    ended = container.wait(timeout=client.api.timeout)
                container.reload()
            code = int(ended["StatusCode"])
            if code or not (out / "run.json").exists():
                raise _failure(code, container, watch, about)


RUNTIME = Docker()


@contextmanager
def _created(
    client: docker.DockerClient, image: str, options: dict[str, Any]
) -> Iterator[Container]:
    """Create a container without starting it, and remove it when the block ends."""
    try:
        container = client.containers.create(image, stdin_open=True, **options)
    except ImageNotFound as error:
        family = options["labels"][FAMILY]
        again = f"`matterzoo pull {family}` or `matterzoo build {family}` brings it back"
        raise RunError(f"image {image} has just been removed; {again}") from error
    try:
        if "device_requests" in options and not container.attrs["HostConfig"].get("DeviceRequests"):
            raise RunError(
                "this engine passes no GPU to a container that is asked for through its Docker "
                "socket"
            )
        yield container
    finally:
        with suppress(*BROKEN):  # if the engine has ended, the next run removes the container
            remove_container(container)


@contextmanager
def _attached(client: docker.DockerClient, container: Container) -> Iterator[socket.SocketIO]:
    """Yield the container's outputs, and hold its standard input open.

    The input ends when this process does, however it ends. When the block ends, the container is
    asked to stop, and only then its input is closed: both are a signal to the worker, and a second
    signal ends it before it has written what it holds.
    """
    parts = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    stream = client.api.attach_socket(container.id, params=parts)
    try:
        yield stream
    finally:
        with suppress(*BROKEN):
            container.stop(timeout=int(GRACE))  # Docker takes whole seconds only
        stream._response.close()  # the SDK's own, which would stay open
        stream.close()


def _start(container: Container) -> None:
    try:
        container.start()
    except APIError as error:
        if "device driver" in str(error.explanation):
            raise RunError(
                f"the engine cannot give a container a GPU ({error.explanation}); install NVIDIA's "
                "container toolkit, `matterzoo doctor` says more"
            ) from error
        raise


def _follow(stream: socket.SocketIO, watch: Watch) -> None:
    """Pass the container's output on line by line until it ends."""
    rest = {STDOUT: b"", STDERR: b""}
    for number, chunk in frames_iter(stream, tty=False):
        *lines, rest[number] = (rest[number] + chunk).split(b"\n")
        for line in lines:
            watch.take_line(line + b"\n")
    for line in filter(None, rest.values()):
        watch.take_line(line + b"\n")


def _kill(container: Container, stream: socket.SocketIO) -> None:
    """End a container that hangs, and the wait for its output in case the engine hangs as well."""
    with suppress(*BROKEN):
        container.kill()
    with suppress(OSError):
        stream._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


def _failure(code: int, container: Container, watch: Watch, about: Engine) -> RunError:
    """Return the error of a worker that did not finish.

    Podman 4.3 never says that a container ran out of memory. If a container of Podman's was killed,
    and not by matterzoo, that is the most likely reason.
    """
    limit = f"its limit of {container.attrs['HostConfig']['Memory'] / 2**20:,.0f} MiB"
    kind: type[RunError] = RunError
    ending = f"exit code {code}" if code else "exit code 0, but no run.json"
    if code == KILLED and not watch.hung:
        kind, ending = Killed, "killed by SIGKILL from outside"
        if container.attrs["State"].get("OOMKilled"):
            kind, ending = OutOfMemory, f"killed because memory ran out, {limit}"
        elif about.name == "Podman":
            guess = "killed, and Podman does not say why; most likely memory ran out"
            kind, ending = OutOfMemory, f"{guess}, {limit}"
    elif not watch.began:
        family, image = container.labels[FAMILY], container.attrs["Config"]["Image"]
        ending += (
            f", and it never started; if {image} is no image of matterzoo, remove it, then run "
            f"`matterzoo build {family}`"
        )
    return kind(_with_local_paths(watch.explain(ending), container))


def _with_local_paths(text: str, container: Container) -> str:
    """Replace the names of folders inside the container by their names on this machine."""
    folders = {
        mount["Destination"]: mount["Source"]
        for mount in container.attrs["Mounts"]
        if mount["Type"] == "bind"
    }
    return re.sub(
        r"(?<![\w./-])(/job|/out|/weights)(?![\w.-])", lambda found: folders[found[1]], text
    )
