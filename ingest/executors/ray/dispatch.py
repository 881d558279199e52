"""Have Ray start programs on its nodes. It is a program itself, of the standard library and Ray.

Ray ends the process in which it runs when it loses its cluster. So it runs in this one, and the
command that writes the store only reads what this one says, line by line, in JSON.

Standard input: how to connect, and what a task takes; then programs, each with the number of its
task. Where it ends, tasks are canceled, which have their programs end, and so does this process.

    {"connect": {…}, "takes": {"num_cpus": 1, …}}
    {"task": 0, "program": ["matterzoo", …], "variables": {…}, "folder": "…", "log": "…"}

Standard output: an event per line.

    {"event": "ready", "nodes": 2, "cpus": 8, "gpus": 2}
    {"event": "no room", "nodes": [{"node": "n1", "CPU": 4.0, "GPU": 1.0, "memory": 8000000000.0}]}
    {"event": "ended", "task": 0, "fault": null}
    {"event": "failed", "message": "…"}
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TextIO

TRIES = 3  # to start Ray here, which gives a busy machine 30 s each
POLL = 0.2  # s between two looks at standard input
MOMENT = 10.0  # s that tasks wait for a node with room for one before that is reported
# How Ray calls on a node what a task takes.
RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
END_SECONDS = 100.0  # for a program to write its shard: matterzoo work needs at most 80


def main() -> int:
    """Serve until standard input ends.

    Returns:
        The exit code: 0 if Ray was there all the time.
    """
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints is no event
    lines: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    try:
        _Dispatch(lines, events).run()
    except Exception as error:
        _send(events, "failed", message=_describe(error))
        return 1
    return 0


def run_program(program: list[str], variables: dict[str, str], folder: str, log: str) -> int:
    """Run a program, in a process of Ray's on one of its nodes; the program ends with it.

    Args:
        program: The words of a command, which ends when its standard input does.
        variables: What it gets besides the variables of Ray's process, such as the GPU's.
        folder: Where it is started, if the node has such a folder.
        log: A file that takes what it prints.

    Returns:
        Its exit code.
    """
    import os
    import signal
    import subprocess
    from contextlib import suppress
    from pathlib import Path

    # Ray cancels by SIGINT, which a node that a script has started in the background ignores.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    at = folder if Path(folder).is_dir() else None
    with (
        Path(log).open("ab", buffering=0) as file,
        subprocess.Popen(
            program, env=os.environ | variables, cwd=at, stdin=subprocess.PIPE, stdout=file,
            stderr=file, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        try:
            while True:  # a cancellation comes between two waits
                with suppress(subprocess.TimeoutExpired):
                    return process.wait(0.2)
        except BaseException:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(90.0)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def describe_node(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node's name and what it has in all, as Ray calls it.

    Args:
        node: What `ray.nodes()` says of it.
    """
    there = {name: node["Resources"].get(name, 0.0) for name in RESOURCES.values()}
    return {"node": node.get("NodeManagerHostname") or node["NodeID"]} | there


def has_room(nodes: list[dict[str, Any]], takes: dict[str, float]) -> bool:
    """Return whether a node is large enough for a task, if nothing else ran there.

    Args:
        nodes: What each node has, as `describe_node` returns it.
        takes: What a task takes, as Ray calls it.
    """
    wanted = {RESOURCES[name]: amount for name, amount in takes.items()}
    return any(all(node[name] >= most for name, most in wanted.items()) for node in nodes)


class _Dispatch:
    """The tasks that Ray has."""

    def __init__(self, lines: SimpleQueue[str | None], events: TextIO) -> None:
        import ray

        self._ray, self._lines, self._events = ray, lines, events
        self._running: dict[Any, int] = {}  # the task of each reference
        self._over = False
        self._room_seen = time.monotonic()  # when a node with room for a task was last seen

    def run(self) -> None:
        first = self._lines.get()
        if first is None:
            return
        settings = json.loads(first)
        try:
            self._connect(settings["connect"])
            self._serve(settings["takes"])
        finally:
            self._ray.shutdown()
            if "_temp_dir" in settings["connect"]:  # whoever made it may be gone
                shutil.rmtree(settings["connect"]["_temp_dir"], ignore_errors=True)

    def _connect(self, how: dict[str, Any]) -> None:
        for left in reversed(range(TRIES if how["address"] == "local" else 1)):
            try:
                self._ray.init(log_to_driver=False, logging_level="warning", **how)
                return
            except Exception as error:
                if left == 0:
                    raise
                print(_describe(error), "Trying again.", file=sys.stderr, flush=True)
                self._ray.shutdown()

    def _serve(self, takes: dict[str, float]) -> None:
        """Start programs as they are asked for, until standard input ends."""
        remote = self._ray.remote(max_retries=0, **takes)(run_program)
        there = self._ray.cluster_resources()
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        count = {"cpus": there.get("CPU", 0.0), "gpus": there.get("GPU", 0.0)}
        _send(self._events, "ready", nodes=nodes, **count)
        while not self._over:
            self._start(remote)
            self._collect(POLL)
            self._look_for_room(takes)
        self._end()

    def _look_for_room(self, takes: dict[str, float]) -> None:
        """Report, once, that tasks wait since no node is large enough for one."""
        now = time.monotonic()
        if not self._running or now <= self._room_seen + MOMENT:
            return
        nodes = [describe_node(node) for node in self._ray.nodes() if node["Alive"]]
        if has_room(nodes, takes):
            self._room_seen = now
            return
        _send(self._events, "no room", nodes=nodes)
        self._room_seen = float("inf")

    def _start(self, remote: Any) -> None:
        """Start what standard input asks for; wait for that while Ray has nothing to do."""
        with suppress(Empty):
            idle = not self._running
            line = self._lines.get(timeout=None if idle else 0.001)
            if idle:
                self._room_seen = time.monotonic()
            while line is not None:
                asked = json.loads(line)
                number = asked.pop("task")
                self._running[remote.remote(**asked)] = number
                line = self._lines.get_nowait()
            self._over = True

    def _collect(self, patience: float) -> None:
        """Report tasks that have ended, waiting for the first."""
        if not self._running:
            return
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=patience)
        if ended:
            ended, _ = self._ray.wait(
                list(self._running), num_returns=len(self._running), timeout=0
            )
        for reference in ended:
            fault = None
            try:
                code = self._ray.get(reference)
                if code < 0:
                    name = signal.Signals(-code).name
                    fault = f"its program was killed by {name}, as where memory is short"
            except self._ray.exceptions.RayError as error:
                fault = _describe(error)
            _send(self._events, "ended", task=self._running.pop(reference), fault=fault)

    def _end(self) -> None:
        """Cancel all tasks, and give their programs time to write what they have."""
        for reference in self._running:
            self._ray.cancel(reference)
        end = time.monotonic() + END_SECONDS
        while self._running and time.monotonic() < end:
            self._collect(POLL)


def _read(lines: SimpleQueue[str | None]) -> None:
    rest = b""
    while part := os.read(0, 65_536):
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            lines.put(line.decode())
    lines.put(None)


def _send(events: TextIO, event: str, **rest: Any) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it any more
        print(json.dumps({"event": event} | rest), file=events, flush=True)


def _describe(error: BaseException) -> str:
    """Return the first paragraph of an error, in one line, and of what a task raised its own."""
    cause = getattr(error, "cause", None) or error
    words = str(cause).strip().split("\n\n")[0].split()
    return f"{type(cause).__name__}: {' '.join(words)}"


if __name__ == "__main__":
    sys.exit(main())
