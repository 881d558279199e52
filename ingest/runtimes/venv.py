"""The worker as a child process, in the family's own environment on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.runtimes import OnEvent, RunError, Say, environment
from zoo.card import Family

PATIENCE = 10.0  # s that a worker gets to end after SIGTERM
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONNOUSERSITE": "1"}
# OpenMP's threads spin while they wait; on a machine that does anything else besides, small batches then take 7 times
# as long (CHGNet on aflow: 38 s instead of 5 s).
POLITE = {"OMP_WAIT_POLICY": "PASSIVE"}


class Venv:
    """Runs everywhere; isolates packages, not the machine."""

    name = "venv"
    preference = 2

    def unavailable(self) -> str | None:
        return None if os.name == "posix" else "it needs Linux or macOS"

    def ready(self, family: Family) -> bool:
        return environment.ready(family)

    def ensure(self, family: Family, say: Say) -> None:
        environment.build(family, say)

    def run(self, family: Family, job: Path, out: Path, on_event: OnEvent) -> None:
        out.mkdir(parents=True, exist_ok=True)
        fatal: list[str] = []

        def watch(event: dict[str, Any]) -> None:
            if event.get("event") == "error":
                fatal.append(str(event.get("message")))
            on_event(event)

        quiet: Say = lambda message: on_event({"event": "warning", "message": message})  # noqa: E731
        with environment.held(family, exclusive=False, say=quiet), (out / "worker.log").open("ab", buffering=0) as log:
            start = log.seek(0, os.SEEK_END)
            with _child(_command(family, job, out), out, log) as worker:
                _follow(worker, log, watch)
                code = worker.wait()
        if code or not (out / "run.json").exists():
            raise RunError(_why(code, fatal, out / "worker.log", start))


RUNTIME = Venv()


def _command(family: Family, job: Path, out: Path) -> list[str]:
    # -P: the folder that the worker runs in is not a place to import from.
    python = str(environment.python_of(family))
    return [python, "-P", "-m", "zoo.worker", str(job), str(out), "--family", str(family.path)]


@contextmanager
def _child(command: list[str], folder: Path, log: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The worker in a process group of its own, which ends when this block does."""
    variables = POLITE | os.environ | OFFLINE | {"PYTHONPATH": str(environment.REPOSITORY)}
    variables.pop("VIRTUAL_ENV", None)
    # The environment is ours to write to, and without its bytecode a large family takes 15 s longer to start.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    worker = subprocess.Popen(
        command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield worker
    finally:
        _end(worker)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and all it started, politely first."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is None:
            os.killpg(worker.pid, how)
            try:
                worker.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue
    if worker.stderr is not None:
        worker.stderr.close()


def _follow(worker: subprocess.Popen[bytes], log: Any, on_event: OnEvent) -> None:
    """Pass the worker's events on; whatever else it prints goes to the log."""
    assert worker.stderr is not None
    for line in worker.stderr:
        event = _event(line)
        if event is not None:
            on_event(event)
        elif line.strip():
            log.write(line)


def _event(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b'{"event"'):
        return None
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return event


def _why(code: int, fatal: list[str], log: Path, start: int) -> str:
    """What a worker's early end is told as: its own last word, or how it ended and the end of its log."""
    if fatal:
        return fatal[-1]
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 65_536))
        lines = file.read().decode(errors="replace").strip().splitlines()[-8:]
    tail = "\n".join(f"  {line}" for line in lines)
    return f"the worker ended early ({_ending(code)}); all it said is in {log}" + (f", last:\n{tail}" if tail else "")


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed by SIGKILL, which is what Linux does when memory runs out: try a smaller BATCH"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else "exit code 0, but no run.json"
