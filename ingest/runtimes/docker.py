"""The runtime that starts a worker in a container of its family's image.

The container has no network and no privilege, and writes to its output only.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from ingest.callbacks import Log
from ingest.failures import Killed, OutOfMemory, RunError
from ingest.images import engine, local_images, push_pull
from ingest.images.containers import remove_abandoned, remove_container
from ingest.images.engine import BROKEN, Engine, connected
from ingest.images.recipe import FAMILY
from ingest.limits import GRACE, Limits
from ingest.runtimes.container_options import MountedPlaces, container_options
from ingest.runtimes.watch import Watch
from ingest.runtimes.worker import JobPlaces, Worker
from zoo.cards.family import Family
from zoo.worker.events import Assignment

PULL_SECONDS = 600.0  # s that the engine gets for an answer while it pulls an image
KILLED = 137  # the exit code of a process that SIGKILL ended
STDOUT, STDERR = 1, 2  # how the engine numbers a container's outputs


class Docker:
    """The runtime of Docker, and of Podman through its socket."""

    name = "docker"
    basis = "image"
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

    @contextmanager
    def start(
        self, family: Family, jobs: Sequence[JobPlaces], limits: Limits, log: Log
    ) -> Iterator[Worker]:
        """Start a worker, as `ingest.runtimes.protocol.Runtime.start` says.

        Args:
            family: The family of the worker.
            jobs: The jobs that the worker may be given. It sees their files and no others.
            limits: What the worker may use.
            log: Is not called: there is nothing to wait for.

        Yields:
            The worker.

        Raises:
            RunError: If the container cannot be started.
        """
        with connected() as client:
            about = Engine.ask(client)
            image = local_images.find_image(client, family)
            if image is None:
                raise RunError(
                    local_images.missing_image(client, family)
                    or f"the image of {family.name} is not here any more"
                )
            for places in jobs:  # a mount needs them
                places.out.mkdir(parents=True, exist_ok=True)
            remove_abandoned(client, str(jobs[0].job.parent))
            options = container_options(about, family, jobs, limits)
            with (
                _created(client, image, options) as container,
                _attached(client, container) as stream,
            ):
                _start(container)
                yield ContainerWorker(container, stream, about, jobs, limits.silence)


RUNTIME = Docker()


class ContainerWorker(Worker):
    """A worker in a container, whose standard input this process holds open."""

    def __init__(
        self,
        container: Container,
        stream: socket.SocketIO,
        about: Engine,
        jobs: Sequence[JobPlaces],
        silence: float,
    ) -> None:
        """Take over a container.

        Args:
            container: The container, which has been started.
            stream: Its input and outputs.
            about: The engine that runs it.
            jobs: The jobs that it can do.
            silence: See `Worker`.
        """
        super().__init__(_read_lines(stream), silence)
        self._container, self._stream, self._about = container, stream, about
        self._mounted = MountedPlaces.of(jobs)

    @property
    def waits(self) -> bool:
        """Whether the container runs."""
        with suppress(*BROKEN):
            self._container.reload()
            return bool(self._container.status == "running")
        return False

    def assign(self, places: JobPlaces) -> Assignment:
        """Return what the worker is told of a job, with folders as the container has them.

        Args:
            places: Where the job lies on this machine.
        """
        return self._mounted.assign(places)

    def send(self, line: bytes) -> None:
        """Write a line to the container's standard input.

        Args:
            line: The line, with its end.
        """
        self._stream._sock.sendall(line)  # type: ignore[attr-defined]

    def kill(self) -> None:
        """End the container, and the wait for its output in case the engine hangs as well."""
        with suppress(*BROKEN):
            self._container.kill()
        with suppress(OSError):
            self._stream._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]

    def explain_end(self, watch: Watch) -> RunError:
        """Return the error of the container, whose output has ended.

        Podman 4.3 never says that a container ran out of memory. If a container of Podman's was
        killed, and not by matterzoo, that is the most likely reason.

        Args:
            watch: What was seen of the job.
        """
        # Without a limit the SDK would wait for ever.
        code = int(self._container.wait(timeout=self._container.client.api.timeout)["StatusCode"])
        self._container.reload()
        attributes, labels = self._container.attrs, self._container.labels
        limit = f"its limit of {attributes['HostConfig']['Memory'] / 2**20:,.0f} MiB"
        kind: type[RunError] = RunError
        ending = f"exit code {code}" if code else "exit code 0, but no run.json"
        if code == KILLED and not watch.hung:
            kind, ending = Killed, "killed by SIGKILL from outside"
            if attributes["State"].get("OOMKilled"):
                kind, ending = OutOfMemory, f"killed because memory ran out, {limit}"
            elif self._about.name == "Podman":
                guess = "killed, and Podman does not say why; most likely memory ran out"
                kind, ending = OutOfMemory, f"{guess}, {limit}"
        elif not watch.began and not self.jobs:
            family, image = labels[FAMILY], attributes["Config"]["Image"]
            ending += (
                f", and it never started; if {image} is no image of matterzoo, remove it, then run "
                f"`matterzoo build {family}`"
            )
        return kind(self._mounted.with_local_paths(watch.explain(ending)))


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


def _read_lines(stream: socket.SocketIO) -> Iterator[bytes]:
    """Yield the container's output line by line until it ends."""
    rest = {STDOUT: b"", STDERR: b""}
    for number, chunk in frames_iter(stream, tty=False):
        *lines, rest[number] = (rest[number] + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    for line in filter(None, rest.values()):
        yield line + b"\n"
