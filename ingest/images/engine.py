"""The container engine: Docker, or Podman through its socket, which understands Docker's language.

Every client of an engine is made here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
import urllib3
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from ingest.failures import RunError

FIRST_ANSWER = 5.0  # s within which an engine that works answers its first question
TIMEOUT = 60.0  # s for each later answer
DOCKER_SOCKET = "/var/run/docker.sock"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What the SDK raises where an engine refuses, ends or hangs.
BROKEN = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionResetError,
)


class EngineError(RunError):
    """No container engine answers, it stopped answering, or it refused; its address is named."""


@contextmanager
def connected(timeout: float = TIMEOUT) -> Iterator[docker.DockerClient]:
    """Open a client of the engine, and close it afterwards.

    Args:
        timeout: Seconds that the engine gets for each answer after its first.

    Yields:
        A client of the engine that DOCKER_HOST names, or that the current docker context names, or
        that has a socket in one of the usual places.

    Raises:
        EngineError: If no engine answers, or one fails inside the block.
    """
    where = _find()
    client = _client(where, timeout)
    try:
        yield client
    except BROKEN as error:
        raise explain(error) from error
    finally:
        client.close()


def unavailable() -> str | None:
    """Return why no engine can be used, or None if one answers."""
    try:
        with connected():
            return None
    except EngineError as error:
        return str(error)


def address() -> str:
    """Return the address of the engine that `connected` asks."""
    return str(_find()["base_url"])


def is_local(url: str) -> bool:
    """Return whether an engine runs on this machine, as far as its address tells.

    Args:
        url: The engine's address, such as `unix:///var/run/docker.sock`.
    """
    return _socket_path(url) is not None or urlsplit(url).hostname in LOOPBACK


def explain(error: Exception) -> EngineError:
    """Return in one sentence what went wrong with an engine that had answered.

    Args:
        error: One of BROKEN.
    """
    if isinstance(error, APIError):
        return EngineError(
            f"the container engine at {address()} refused: {error.explanation or error}"
        )
    if _is(error, OSError, urllib3.exceptions.HTTPError):
        return EngineError(
            f"the container engine at {address()} stopped answering: {_root(error)}; "
            "see that it runs, then repeat"
        )
    return EngineError(
        f"the container engine at {address()} gave an answer that cannot be used: {error}"
    )


@dataclass(frozen=True)
class Engine:
    """What an engine is and can do.

    Attributes:
        address: Its address, such as `unix:///var/run/docker.sock`.
        name: Docker or Podman.
        version: The engine's version.
        api: The version of Docker's interface that it understands.
        rootless: Whether it runs without root's rights.
        memory: Bytes of the machine, or of the virtual machine, that it runs on.
        cpus: Number of processors of that machine.
        root: The folder on that machine that holds its images.
        gpus: Whether it is set up to hand GPUs to containers.
        lacks: The limits that it cannot keep, such as `memory`.
    """

    address: str
    name: str
    version: str
    api: str
    rootless: bool
    memory: int
    cpus: int
    root: Path
    gpus: bool
    lacks: tuple[str, ...]

    @property
    def local(self) -> bool:
        """Whether the engine runs on this machine, as far as its address tells."""
        return is_local(self.address)

    @classmethod
    def ask(cls, client: docker.DockerClient) -> Engine:
        """Return how the engine describes itself.

        Args:
            client: The engine to ask.
        """
        return cls.read(address(), client.version(), client.info())

    @classmethod
    def read(cls, address: str, version: dict[str, Any], info: dict[str, Any]) -> Engine:
        """Return an engine from its own description.

        Args:
            address: The engine's address.
            version: What it answers to `/version`.
            info: What it answers to `/info`.
        """
        podman = any(part["Name"].startswith("Podman") for part in version.get("Components") or ())
        limits = {
            "memory": "MemoryLimit",
            "swap": "SwapLimit",
            "CPU": "CpuCfsQuota",
            "process": "PidsLimit",
        }
        return cls(
            address=address,
            name="Podman" if podman else "Docker",
            version=version["Version"],
            api=version["ApiVersion"],
            rootless="name=rootless" in (info.get("SecurityOptions") or ()),
            memory=info["MemTotal"],
            cpus=info["NCPU"],
            root=Path(info["DockerRootDir"]),
            gpus=_knows_gpus(info),
            lacks=tuple(name for name, key in limits.items() if not info.get(key)),
        )


def _knows_gpus(info: dict[str, Any]) -> bool:
    """Return whether NVIDIA's runtime is set up, or its devices are described in CDI files."""
    described = [str(device.get("ID")) for device in info.get("DiscoveredDevices") or ()]
    return "nvidia" in (info.get("Runtimes") or ()) or any(
        name.startswith("nvidia.com/gpu") for name in described
    )


def _find() -> dict[str, Any]:
    """Return the SDK's options for the engine: by DOCKER_HOST, docker's context, or a socket."""
    try:
        named: dict[str, Any] = kwargs_from_env()
        if "base_url" in named:
            return named
        named = ContextAPI.kwargs_from_context() | named
    except Exception as error:  # the SDK raises no narrower class for this
        raise EngineError(f"the settings of docker's client cannot be read: {error}") from error
    if "base_url" not in named:
        raise EngineError(
            "the docker context in use does not exist; `docker context ls` shows those that do"
        )
    folder = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    for path in (
        _socket_path(named["base_url"]),
        DOCKER_SOCKET,
        f"{folder}/podman/podman.sock",
        "/run/podman/podman.sock",
    ):
        if path is None:
            return named
        if os.access(path, os.R_OK | os.W_OK):
            return {"base_url": f"unix://{path}"}
    return named


def _socket_path(url: str) -> str | None:
    """Return the path of the local engine's socket, or None if the engine is elsewhere."""
    scheme, _, path = url.partition("://")
    return f"/{path.lstrip('/')}" if scheme in ("unix", "http+unix") else None


def _client(where: dict[str, Any], timeout: float) -> docker.DockerClient:
    """Return a client, once the engine has answered its first question within FIRST_ANSWER."""
    asked = where["base_url"]
    try:
        _knock(asked)
        client = docker.DockerClient(**where, timeout=FIRST_ANSWER)
    except (OSError, ValueError, *BROKEN) as error:
        raise EngineError(
            f"no container engine answers at {asked}: {_reason(error, _socket_path(asked))}"
        ) from error
    client.api.timeout = timeout
    return client


def _knock(url: str) -> None:
    """Open the engine's socket and close it, because the SDK leaves it open if that fails."""
    path = _socket_path(url)
    if path is not None:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(FIRST_ANSWER)
            knock.connect(path)


def _reason(error: Exception, path: str | None) -> str:
    """Return why there was no answer, and what to do about it."""
    if path is not None and _is(error, FileNotFoundError):
        return (
            "there is no such socket; start Docker or `podman system service`, or set DOCKER_HOST "
            "to another"
        )
    if path is not None and _is(error, PermissionError):
        return (
            f"user {os.getuid()} has no permission; `sudo usermod -aG docker $USER` and a new "
            "login give it, or use rootless Podman"
        )
    if _is(error, TimeoutError, requests.Timeout):
        return (
            f"no answer in {FIRST_ANSWER:g} s; is it starting, or the machine overloaded? If not, "
            "start the engine again"
        )
    if _is(error, ConnectionRefusedError):
        return (
            "connection refused, so nothing listens there; start the engine, or set DOCKER_HOST "
            "to another"
        )
    return f"{_root(error)}; check DOCKER_HOST, or unset it to use this machine's own engine"


def _is(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Return whether the error, or anything that caused it, is of one of these kinds."""
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _root(error: BaseException) -> BaseException:
    """Return what the operating system said if it said anything, else the error itself."""
    return [error, *(cause for cause in _causes(error) if isinstance(cause, OSError))][-1]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
