"""The runtime that starts a worker as a child process, in a local environment of its family."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ingest.callbacks import Log, OnEvent
from ingest.failures import Killed, OutOfMemory, RunError
from ingest.limits import GRACE, Limits
from ingest.runtimes import environment
from ingest.runtimes.watch import Watch
from zoo.cards.family import Family
from zoo.places import worker_imports
from zoo.variables import worker_variables
from zoo.weights.local import LocalWeights
from zoo.worker.job import Job

# A worker downloads nothing, and imports nothing from the user's own site-packages.
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONNOUSERSITE": "1"}
# OpenMP's threads spin while they wait. On a machine that does anything else as well, small batches
# then take 7 times as long (CHGNet on aflow: 38 s instead of 5 s).
NO_SPINNING = {"OMP_WAIT_POLICY": "PASSIVE"}


class Venv:
    """A runtime that works everywhere; it isolates packages, not the machine."""

    name = "venv"
    preference = 2
    confines = False

    def unavailable(self) -> str | None:
        """Return why there are no local environments on this system, or None if there are."""
        return None if os.name == "posix" else "a local environment needs Linux or macOS"

    def lacking(self, family: Family) -> str | None:
        """Return None, since `ensure` builds every environment unasked.

        Args:
            family: The family to run.
        """
        return None

    def ready(self, family: Family) -> bool:
        """Return whether the family's environment is built and matches its lock.

        Args:
            family: The family of the environment.
        """
        return environment.ready(family)

    def ensure(self, family: Family, log: Log) -> None:
        """Build the family's environment unless it is there.

        Args:
            family: The family to make ready.
            log: Shows progress, one line per call.

        Raises:
            RunError: If the environment cannot be built.
        """
        environment.build(family, log)

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
            limits: Of these only the time of silence is kept.

        Raises:
            RunError: If the worker does not finish.
        """
        out.mkdir(parents=True, exist_ok=True)

        def warn(message: str) -> None:
            on_event({"event": "warning", "message": message})

        with (
            environment.hold(family, exclusive=False, log=warn),
            (out / "worker.log").open("ab", buffering=0) as log_file,
        ):
            with (
                _start(family, job, out, weights, log_file) as worker,
                Watch(on_event, log_file, limits.silence, lambda: _end(worker)) as watch,
            ):
                assert worker.stderr is not None
                for line in worker.stderr:
                    watch.take_line(line)
                code = worker.wait()
            if code or not (out / "run.json").exists():
                raise _failure(code, watch)


RUNTIME = Venv()


@contextmanager
def _start(
    family: Family, job: Path, out: Path, weights: LocalWeights | None, log_file: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the worker in a process group of its own.

    The worker ends when this block does, or when this process does, however it ends.
    """
    device, visible = _device_options(job)
    variables = NO_SPINNING | worker_variables() | OFFLINE | visible
    variables["PYTHONPATH"] = str(worker_imports())
    # -P: nothing is imported from the folder that the worker runs in.
    start = [str(environment.python_of(family)), "-P", "-m", "zoo.worker"]
    # --tied: the worker ends with its standard input, a pipe that this process holds open and
    # writes nothing to.
    files = [] if weights is None else ["--weights", str(weights.folder)]
    command = [*start, str(job), str(out), "--family", str(family.path), "--tied", *files, *device]
    with subprocess.Popen(
        command, cwd=out, env=variables, stdin=subprocess.PIPE, stdout=log_file,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as worker:  # fmt: skip
        try:
            yield worker
        finally:
            _end(worker)


def _device_options(job: Path) -> tuple[list[str], dict[str, str]]:
    """Return the worker's options and variables for a GPU that the job names by its UUID.

    torch knows GPUs by number only, so CUDA is told to show the one, which then is the first.
    """
    kind, _, which = Job.read(job).device.partition(":")
    if not which or which.isdecimal():
        return [], {}
    return ["--device", f"{kind}:0"], {"CUDA_VISIBLE_DEVICES": which}


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and all that it started, at first by asking."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is None:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(worker.pid, number)
            with suppress(subprocess.TimeoutExpired):
                worker.wait(GRACE)


def _failure(code: int, watch: Watch) -> RunError:
    if code == -signal.SIGKILL and watch.memory_ran_out and not watch.hung:
        ending = "killed by the kernel because this machine's memory ran out"
        return OutOfMemory(watch.explain(ending))
    if code == -signal.SIGKILL and not watch.hung:
        return Killed(watch.explain(_describe_exit(code)))
    return RunError(watch.explain(_describe_exit(code)))


def _describe_exit(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed by SIGKILL from outside"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else "exit code 0, but no run.json"
