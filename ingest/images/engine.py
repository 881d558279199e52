"""The container engine: Docker, or Podman through its Docker-compatible socket. Every client is made here."""

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

ANSWER = 5.0  # s that an engine gets for its first answer
TIMEOUT = 60.0  # s for every other
DOCKER_SOCKET = "/var/run/docker.sock"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
BROKEN = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionResetError,
)


class EngineError(RunError):
    """No container engine answers, it stopped answering, or it refused; the message names its address."""


@contextmanager
def connected(timeout: float = TIMEOUT) -> Iterator[docker.DockerClient]:
    """A client of the engine, closed afterwards. What breaks between is raised as EngineError."""
    where = _find()
    client = _client(where, timeout)
    try:
        yield client
    except BROKEN as error:
        raise explained(error) from error
    finally:
        client.close()


def unavailable() -> str | None:
    """Why no engine can be used, None where one answers."""
    try:
        with connected():
            return None
    except EngineError as error:
        return str(error)


def address() -> str:
    """Of the engine that is asked."""
    return str(_find()["base_url"])


def is_local(address: str) -> bool:
    """Whether an engine runs on this machine, as far as its address tells."""
    return _path(address) is not None or urlsplit(address).hostname in LOOPBACK


def explained(error: Exception) -> EngineError:
    """One sentence about what went wrong with an engine that had answered."""
    if isinstance(error, APIError):
        return EngineError(
            f"the container engine at {address()} refused: {error.explanation or error}"
        )
    if _is(error, OSError, urllib3.exceptions.HTTPError):
        return EngineError(
            f"the container engine at {address()} stopped answering: {_root(error)}; see that it runs, then repeat"
        )
    return EngineError(
        f"the container engine at {address()} gave an answer that cannot be used: {error}"
    )


@dataclass(frozen=True)
class Engine:
    """What an engine is and can do. memory: bytes of the machine or virtual machine it runs on; root: its images."""

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
        """Whether it runs on this machine, as far as its address tells."""
        return is_local(self.address)

    @classmethod
    def ask(cls, client: docker.DockerClient) -> Engine:
        return cls.read(address(), client.version(), client.info())

    @classmethod
    def read(cls, address: str, version: dict[str, Any], info: dict[str, Any]) -> Engine:
        """From what /version and /info answer. lacks: the limits that it cannot keep."""
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
    """NVIDIA's runtime is set up, or its devices are described to the engine (CDI)."""
    described = [str(device.get("ID")) for device in info.get("DiscoveredDevices") or ()]
    return "nvidia" in (info.get("Runtimes") or ()) or any(
        name.startswith("nvidia.com/gpu") for name in described
    )


def _find() -> dict[str, Any]:
    """For the SDK: DOCKER_HOST's engine, or the current docker context's, or one whose socket is there."""
    try:
        named: dict[str, Any] = kwargs_from_env()
        if "base_url" in named:
            return named
        named = ContextAPI.kwargs_from_context() | named
    except Exception as error:  # the SDK raises bare Exception for a context that it cannot read
        raise EngineError(f"the settings of docker's client cannot be read: {error}") from error
    if "base_url" not in named:
        raise EngineError(
            "the docker context in use does not exist; `docker context ls` shows those that do"
        )
    folder = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    for path in (
        _path(named["base_url"]),
        DOCKER_SOCKET,
        f"{folder}/podman/podman.sock",
        "/run/podman/podman.sock",
    ):
        if path is None:
            return named
        if os.access(path, os.R_OK | os.W_OK):
            return {"base_url": f"unix://{path}"}
    return named


def _path(url: str) -> str | None:
    """Of a socket of this machine, None for an address elsewhere."""
    scheme, _, path = url.partition("://")
    return f"/{path.lstrip('/')}" if scheme in ("unix", "http+unix") else None


def _client(where: dict[str, Any], timeout: float) -> docker.DockerClient:
    """The engine must answer its first question soon; for others it has `timeout`."""
    asked = where["base_url"]
    try:
        _knock(asked)
        client = docker.DockerClient(**where, timeout=ANSWER)
    except (OSError, ValueError, *BROKEN) as error:
        raise EngineError(
            f"no container engine answers at {asked}: {_reason(error, _path(asked))}"
        ) from error
    client.api.timeout = timeout
    return client


def _knock(url: str) -> None:
    """Open the socket and close it. Where that fails the SDK would leave one open."""
    path = _path(url)
    if path is not None:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(ANSWER)
            knock.connect(path)


def _reason(error: Exception, path: str | None) -> str:
    """What happened, and what to do about it."""
    if path is not None and _is(error, FileNotFoundError):
        return "there is no such socket; start Docker or `podman system service`, or set DOCKER_HOST to another"
    if path is not None and _is(error, PermissionError):
        return (
            f"user {os.getuid()} has no permission; `sudo usermod -aG docker $USER` and a new login give it, or use "
            "rootless Podman"
        )
    if _is(error, TimeoutError, requests.Timeout):
        return f"no answer in {ANSWER:g} s; is it starting, or the machine overloaded? If not, start the engine again"
    if _is(error, ConnectionRefusedError):
        return "connection refused, so nothing listens there; start the engine, or set DOCKER_HOST to another"
    return f"{_root(error)}; check DOCKER_HOST, or unset it to use this machine's own engine"


def _is(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _root(error: BaseException) -> BaseException:
    """What the operating system said, where it said anything."""
    return [error, *(cause for cause in _causes(error) if isinstance(cause, OSError))][-1]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
