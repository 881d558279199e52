"""The container engine: which one is asked, what it is, and the message if none answers."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from docker.errors import APIError

from ingest.images import engine
from ingest.images.engine import Engine, EngineError, address, connected, explain, unavailable
from tests.ingest.relay import Relay

# From /version and /info of Docker 20.10.24 and Podman 4.3.1 on Debian 12, shortened.
DOCKER = {
    "Version": "20.10.24+dfsg1",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Engine"}, {"Name": "runc"}],
}
PODMAN = {
    "Version": "4.3.1",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}],
}
LIMITS = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True, "PidsLimit": True}
INFO = LIMITS | {
    "MemTotal": 25276514304,
    "NCPU": 2,
    "DockerRootDir": "/var/lib/docker",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Runtimes": {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}},
}
SOCKET = "unix:///var/run/docker.sock"

Ask = Callable[[str], None]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask the engine at this address."""
    return lambda url: monkeypatch.setenv("DOCKER_HOST", url)


@pytest.fixture
def silent(folder: Path) -> Iterator[Path]:
    """A socket that accepts connections and never answers."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "silent.sock"))
        listening.listen()
        yield folder / "silent.sock"


# --- none answers
def test_no_socket(ask: Ask, folder: Path) -> None:
    ask(f"unix://{folder}/none.sock")
    message = f"no container engine answers at unix://{folder}/none.sock: there is no such socket"
    with pytest.raises(EngineError, match=f"{message}; start Docker"), connected():
        pass


def test_refused_at_a_socket_that_nobody_listens_to(ask: Ask, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "left.sock"))
    ask(f"unix://{folder}/left.sock")
    assert "connection refused, so nothing listens there; start the engine" in str(unavailable())


def test_refused_at_a_port(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ask(f"tcp://127.0.0.1:{port}")
    assert f"no container engine answers at tcp://127.0.0.1:{port}: connection refused" in str(
        unavailable()
    )


def test_never_an_answer(ask: Ask, silent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_ANSWER", 0.2)
    ask(f"unix://{silent}")
    start = time.monotonic()
    assert "no answer in 0.2 s; is it starting, or the machine overloaded?" in str(unavailable())
    assert time.monotonic() - start < 5


def test_permission_denied(silent: Path) -> None:
    silent.chmod(0)
    code = (
        "import os; from ingest.images.engine import unavailable\n"
        "os.getuid() or os.setuid(65534); print(unavailable())"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    variables = os.environ | {"DOCKER_HOST": f"unix://{silent}"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    user = os.getuid() or 65534
    assert (
        f"at unix://{silent}: user {user} has no permission; `sudo usermod -aG docker $USER`"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "port is required: nonsense; check DOCKER_HOST"),
        (
            "gopher://127.0.0.1:1",
            "Invalid bind address protocol: gopher://127.0.0.1:1; check DOCKER_HOST",
        ),
        ("tcp://127.0.0.1:many", "check DOCKER_HOST, or unset it"),
        ("unix:///" + 120 * "x", "AF_UNIX path too long; check DOCKER_HOST"),
    ],
)
def test_an_address_that_is_none(ask: Ask, url: str, reason: str) -> None:
    ask(url)
    assert reason in str(unavailable())


# --- which one is asked
@pytest.fixture
def context(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make a context of docker's client and use it. Returns the file that describes it."""

    def make(host: str) -> Path:
        meta = folder / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest() / "meta.json"
        meta.parent.mkdir(parents=True)
        meta.write_text(
            json.dumps({"Name": "mine", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}})
        )
        return meta

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.setattr(engine, "DOCKER_SOCKET", str(folder / "docker.sock"))
    (folder / "config.json").write_text('{"currentContext": "mine"}')
    return make


def test_docker_host_comes_first(context: Callable[[str], Path], ask: Ask) -> None:
    context("tcp://192.0.2.1:2375")
    ask("unix:///nowhere.sock")
    assert address() == "unix:///nowhere.sock"


def test_then_the_context_in_use(context: Callable[[str], Path], silent: Path) -> None:
    context(f"unix://{silent}")
    (silent.parent / "docker.sock").touch()
    assert address() == f"unix://{silent}"


def test_a_context_elsewhere(context: Callable[[str], Path]) -> None:
    context("tcp://192.0.2.1:2375")
    assert address() == "tcp://192.0.2.1:2375"


def test_then_the_sockets_that_are_there(context: Callable[[str], Path], folder: Path) -> None:
    context("unix:///nowhere.sock")
    podman = folder / "run" / "podman" / "podman.sock"
    podman.parent.mkdir(parents=True)
    podman.touch()
    assert address() == f"unix://{podman}"
    (folder / "docker.sock").touch()
    assert address() == f"unix://{folder}/docker.sock"


def test_a_context_that_does_not_exist(context: Callable[[str], Path]) -> None:
    with pytest.raises(
        EngineError,
        match="the docker context in use does not exist; `docker context ls` shows those",
    ):
        address()


def test_a_context_that_cannot_be_read(context: Callable[[str], Path]) -> None:
    context("unix:///nowhere.sock").write_text("{")
    with pytest.raises(
        EngineError, match="the settings of docker's client cannot be read: .*corrupted meta file"
    ):
        address()


# --- what it is
def test_docker() -> None:
    found = Engine.read(SOCKET, DOCKER, INFO)
    assert (found.name, found.version, found.api) == ("Docker", "20.10.24+dfsg1", "1.41")
    assert (found.memory, found.cpus, found.root) == (25276514304, 2, Path("/var/lib/docker"))
    assert (found.local, found.rootless, found.gpus, found.lacks) == (True, False, False, ())


def test_podman() -> None:
    found = Engine.read(SOCKET, PODMAN, INFO)
    assert (found.name, found.version, found.api) == ("Podman", "4.3.1", "1.41")


def test_limits_that_it_cannot_keep() -> None:
    """What /info says without swapaccount=1, and where a user's engine got no cgroups."""
    assert Engine.read(SOCKET, DOCKER, INFO | {"SwapLimit": False}).lacks == ("swap",)
    nothing = {key: value for key, value in INFO.items() if key not in LIMITS}
    assert Engine.read(SOCKET, DOCKER, nothing).lacks == ("memory", "swap", "CPU", "process")


@pytest.mark.parametrize(
    "known",
    [
        {"Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}}},
        {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]},
    ],
)
def test_gpus_it_knows_as_documented_not_seen_on_a_gpu(known: dict[str, object]) -> None:
    assert Engine.read(SOCKET, DOCKER, INFO | known).gpus


def test_rootless_as_documented_and_elsewhere() -> None:
    options = {
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]
    }
    found = Engine.read("tcp://192.0.2.1:2375", DOCKER, INFO | options)
    assert (found.rootless, found.local) == (True, False)
    assert Engine.read("tcp://127.0.0.1:2375", DOCKER, INFO).local


# --- what breaks later
def test_errors_in_one_sentence(ask: Ask) -> None:
    ask(SOCKET)
    messages = {
        "refused: No such image": APIError("404 Client Error", explanation="No such image"),
        "stopped answering: reset; see that it runs, then repeat": requests.ConnectionError(
            "reset"
        ),
        "stopped answering: Read timed out": requests.ReadTimeout("Read timed out"),
        "gave an answer that cannot be used: odd": engine.DockerException("odd"),
    }
    for sentence, error in messages.items():
        assert str(explain(error)).startswith(f"the container engine at {SOCKET} {sentence}")


@pytest.mark.container
def test_the_engine_here() -> None:
    assert unavailable() is None
    with connected(timeout=30) as client:
        found = Engine.ask(client)
        assert client.api.timeout == 30
    assert found.name in ("Docker", "Podman")
    assert found.address == address()
    assert found.cpus > 0 and found.memory > 1e8


@pytest.mark.container
def test_what_it_refuses() -> None:
    with (
        pytest.raises(EngineError, match="the container engine at .* refused: .*no-such"),
        connected() as client,
    ):
        client.containers.create("no-such-image")


@pytest.mark.container
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_it_stops_while_it_is_asked(relay: Relay) -> None:
    with (
        pytest.raises(EngineError, match=rf"at unix://{relay.path} stopped answering: "),
        connected() as client,
    ):
        assert client.ping()
        relay.cut()
        client.ping()
    assert "connection refused" in str(unavailable())


@pytest.mark.container
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_stream_of_an_engine_that_stops_ends_as_if_all_were_told(relay: Relay) -> None:
    with pytest.raises(EngineError, match="stopped answering: "), connected() as client:
        threading.Timer(0.5, relay.cut).start()
        assert list(client.events()) == []
        client.ping()
