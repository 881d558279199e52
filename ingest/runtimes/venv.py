"""The worker as a child process, in the family's own environment on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ingest.events import Log, OnEvent
from ingest.failures import Killed, OutOfMemory, RunError
from ingest.limits import GRACE, Limits
from ingest.runtimes import environment
from ingest.runtimes.watch import Watch
from zoo.cards.family import Family
from zoo.variables import for_worker
from zoo.weights.obtain import Place

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONNOUSERSITE": "1"}
# OpenMP's threads spin while they wait; on a machine that does anything else besides, small batches then take 7 times
# as long (CHGNet on aflow: 38 s instead of 5 s).
POLITE = {"OMP_WAIT_POLICY": "PASSIVE"}


class Venv:
    """Runs everywhere; isolates packages, not the machine."""

    name = "venv"
    preference = 2
    confines = False

    def unavailable(self) -> str | None:
        return None if os.name == "posix" else "a local environment needs Linux or macOS"

    def lacking(self, family: Family) -> str | None:
        return None

    def ready(self, family: Family) -> bool:
        return environment.ready(family)

    def ensure(self, family: Family, say: Log) -> None:
        environment.build(family, say)

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
        quiet: Log = lambda message: on_event({"event": "warning", "message": message})  # noqa: E731
        with (
            environment.held(family, exclusive=False, say=quiet),
            (out / "worker.log").open("ab", buffering=0) as log,
        ):
            with (
                _child(family, job, out, weights, log) as worker,
                Watch(on_event, log, limits.silence, lambda: _end(worker)) as watch,
            ):
                assert worker.stderr is not None
                for line in worker.stderr:
                    watch.line(line)
                code = worker.wait()
            if code or not (out / "run.json").exists():
                raise _failure(code, watch)


RUNTIME = Venv()


@contextmanager
def _child(
    family: Family, job: Path, out: Path, weights: Place | None, log: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """The worker in a process group of its own, which ends when this block does, or this process, however it ends."""
    device, seen = _device(job)
    variables = POLITE | for_worker() | OFFLINE | seen | {"PYTHONPATH": str(environment.REPOSITORY)}
    # -P: the folder that the worker runs in is not a place to import from.
    start = [str(environment.python_of(family)), "-P", "-m", "zoo.worker"]
    # --tied: it ends with its standard input, a pipe that nothing is written to and that this process holds open.
    files = [] if weights is None else ["--weights", str(weights.folder)]
    command = [*start, str(job), str(out), "--family", str(family.path), "--tied", *files, *device]
    with subprocess.Popen(
        command, cwd=out, env=variables, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as worker:  # fmt: skip
        try:
            yield worker
        finally:
            _end(worker)


def _device(job: Path) -> tuple[list[str], dict[str, str]]:
    """What the worker is told of its device, in options and variables. CUDA knows a GPU's name, torch only numbers."""
    kind, _, which = json.loads((job / "job.json").read_text())["device"].partition(":")
    if not which or which.isdecimal():
        return [], {}
    return ["--device", f"{kind}:0"], {"CUDA_VISIBLE_DEVICES": which}


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and all it started, politely first."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is None:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(worker.pid, how)
            with suppress(subprocess.TimeoutExpired):
                worker.wait(GRACE)


def _failure(code: int, watch: Watch) -> RunError:
    if code == -signal.SIGKILL and watch.starved and not watch.hung:
        return OutOfMemory(watch.why("killed by the kernel because this machine's memory ran out"))
    if code == -signal.SIGKILL and not watch.hung:
        return Killed(watch.why(_ending(code)))
    return RunError(watch.why(_ending(code)))


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed by SIGKILL from outside"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else "exit code 0, but no run.json"
