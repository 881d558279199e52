"""Start the process in which Ray runs, and talk with it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ingest.callbacks import Event
from ingest.executors.ray.dispatch import RESOURCES
from zoo.command_line import print_now
from zoo.errors import MatterzooError
from zoo.machine import count_cores
from zoo.terminal import megabytes, plural

PATIENCE = 240.0  # s for Ray to start, or to connect: on a machine that others use it takes many
END_SECONDS = 120.0  # for tasks to write what they have, and for Ray to end
OBJECT_STORE = 80 * 2**20  # bytes, about the least that Ray takes: nothing of ours goes there
SHOWN = 3  # lines of Ray's log that an error shows
LOCAL = "local"  # the address of a Ray that is started for the command


class RayError(MatterzooError):
    """Ray is missing, cannot be started or reached, or was lost; the message says which."""

    exit_code = 1


class Ray:
    """A connection to Ray, or a Ray of its own on this machine. It is a context manager.

    Attributes:
        address: Where Ray is; LOCAL: it is started now, and ended with the block.
        nodes: What of nodes, processors and GPUs there was at the start, in words.
        gpus: How many GPUs there were.
    """

    def __init__(self, address: str | None, takes: Mapping[str, float], log: Path) -> None:
        """Prepare; nothing is started yet.

        Args:
            address: Such as 10.0.0.1:6379 or auto; None takes RAY_ADDRESS, or else LOCAL.
            takes: What of a node a task takes, as Ray calls it: num_cpus, num_gpus, memory.
            log: A file for what Ray prints.
        """
        self.address = choose_address(address)
        self.nodes, self.gpus = "", 0.0
        self._takes, self._log = dict(takes), log
        self._held = ExitStack()
        self._events: SimpleQueue[Event | None] = SimpleQueue()

    def __enter__(self) -> Ray:
        with ExitStack() as held:
            connect: dict[str, Any] = {"address": self.address}
            if self.address == LOCAL:
                # Its sockets lie there, whose paths may have 107 bytes.
                above = os.environ.get("RAY_TMPDIR", "/tmp")
                # What of Ray is still ending may write there while it is removed.
                made = tempfile.TemporaryDirectory("", "mz-", above, ignore_cleanup_errors=True)
                folder = held.enter_context(made)
                connect |= {"_temp_dir": folder, "object_store_memory": OBJECT_STORE}
                connect |= {"num_cpus": count_cores(), "include_dashboard": False}
            log = held.enter_context(self._log.open("ab"))
            # -P: the folder of the program has the name of a package, and is not to be found.
            program = [sys.executable, "-P", str(Path(__file__).with_name("dispatch.py"))]
            self._process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=self._variables(), start_new_session=True,
            )  # fmt: skip
            held.callback(self._end)
            threading.Thread(target=self._read, name="events of Ray", daemon=True).start()
            self._send({"connect": connect, "takes": self._takes})
            self._describe(self.next(PATIENCE))
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def start(
        self, task: int, program: Sequence[str], variables: Mapping[str, str], log: Path
    ) -> None:
        """Have Ray start a program on one of its nodes, once it has room.

        Args:
            task: A number, by which its end is reported.
            program: The words of a command, which ends when its standard input does.
            variables: What it gets besides the variables of Ray's process there.
            log: A file that takes what it prints.
        """
        asked = {"task": task, "program": list(program), "variables": dict(variables)}
        self._send(asked | {"folder": str(Path.cwd()), "log": str(log)})

    def next(self, patience: float) -> Event | None:
        """Return the next event of `ingest.executors.ray.dispatch`; None if none comes in time.

        Args:
            patience: Seconds to wait.

        Raises:
            RayError: Ray is lost.
        """
        try:
            event = self._events.get(timeout=patience)
        except Empty:
            return None
        if event is None:
            raise RayError(self._explain("its process has ended"))
        if event["event"] == "failed":
            raise RayError(self._explain(event["message"]))
        if event["event"] == "no room":
            print_now(explain_no_room(event["nodes"], self._takes))
            return None
        return event

    def _describe(self, event: Event | None) -> None:
        """Keep what of nodes, processors and GPUs there is."""
        if event is None:
            raise RayError(self._explain(f"it has not answered for {PATIENCE:.0f} s"))
        self.gpus = event["gpus"]
        parts = {"node": event["nodes"], "CPU": int(event["cpus"]), "GPU": int(self.gpus)}
        self.nodes = ", ".join(plural(n, what) for what, n in parts.items())

    def _variables(self) -> dict[str, str]:
        """Return the variables of the process: only who has the token may use what Ray starts."""
        variables = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        variables["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # else Ray warns that it will be
        variables |= os.environ
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # Ray then starts seconds later, everywhere
        if self.address == LOCAL:
            variables["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        return variables

    def _send(self, content: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which `next` reports
            print(json.dumps(content), file=self._process.stdin, flush=True)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def _explain(self, fault: str) -> str:
        where = "on this machine" if self.address == LOCAL else f"at {self.address}"
        with suppress(OSError):
            lines = self._log.read_text(errors="replace").strip().splitlines()[-SHOWN:]
            fault += "".join(f"\n  {line}" for line in lines)
        return f"Ray {where} is lost, or was not reached: {fault}"

    def _end(self) -> None:
        """End the process, which has its tasks end; at once if this is interrupted."""
        assert self._process.stdin is not None
        try:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        finally:
            with suppress(ProcessLookupError):  # with the processes of a Ray of its own
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def explain_no_room(nodes: Sequence[Mapping[str, Any]], takes: Mapping[str, float]) -> str:
    """Say that no node is large enough for a task, and what to do.

    Args:
        nodes: What each node has, as `dispatch.describe_node` returns it.
        takes: What a task takes, as Ray calls it.
    """
    asked = {RESOURCES[name]: amount for name, amount in takes.items()}
    there = [f"{node['node']} has {_amounts(node, asked)}" for node in nodes[:SHOWN]]
    there += [f"{len(nodes) - SHOWN} more have no room either"] if len(nodes) > SHOWN else []
    smaller = "a smaller --cpus" + (" or --memory" if "memory" in asked else "")
    without = ", or --device cpu" if "GPU" in asked else ""
    return (
        f"no node has room for a task, which takes {_amounts(asked, asked)}: "
        f"{'; '.join(there) or 'there is none'}. Tasks wait until such a node comes; if none will, "
        f"end this with Ctrl-C and give the same command with {smaller}{without}"
    )


def _amounts(amounts: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return '4 CPUs, 1 GPU and 8,000 MB of memory'."""
    said = [
        f"{megabytes(amounts[name])} of memory"
        if name == "memory"
        else f"{amounts[name]:g} {name}{'' if amounts[name] == 1 else 's'}"
        for name in names
    ]
    return " and ".join(filter(None, (", ".join(said[:-1]), said[-1])))


def choose_address(stated: str | None) -> str:
    """Return where Ray is.

    Args:
        stated: What the user says; None takes RAY_ADDRESS, or else LOCAL.
    """
    return stated or os.environ.get("RAY_ADDRESS") or LOCAL


def require_ray() -> None:
    """Refuse to go on where Ray is not installed.

    Raises:
        RayError: It is not.
    """
    if find_spec("ray") is None:
        raise RayError("--on ray needs Ray, which is not installed: pip install 'matterzoo[ray]'")
