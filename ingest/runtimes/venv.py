"""The runtime that starts a worker as a child process, in a local environment of its family."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ingest.callbacks import Log
from ingest.failures import Killed, OutOfMemory, RunError
from ingest.limits import Limits
from ingest.runtimes import environment
from ingest.runtimes.watch import Watch
from ingest.runtimes.worker import JobPlaces, Worker
from zoo.cards.family import Family
from zoo.places import worker_imports
from zoo.variables import NO_SPINNING, worker_variables
from zoo.worker.job import Job

# A worker downloads nothing, and imports nothing from the user's own site-packages.
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONNOUSERSITE": "1"}
# numpy's products have other last bits with another number of threads (soap on aflow: 25 numbers of
# 72,576), which depends on the machine and on what runs beside a worker.
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
# glibc gives memory of freed tensors back to the system at once, and the next batch has to ask for
# it again, page by page (sevennet-0 on aflow: 31 s of processor time instead of 28 s). What is kept
# is given back between models.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),  # the most that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(512 * 2**20),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # large pages: 5 to 9 % less time for sevennet-0
}


class Venv:
    """A runtime that works everywhere; it isolates packages, not the machine."""

    name = "venv"
    basis = "environment"
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

    @contextmanager
    def start(
        self, family: Family, jobs: Sequence[JobPlaces], limits: Limits, log: Log
    ) -> Iterator[Worker]:
        """Start a worker, as `ingest.runtimes.protocol.Runtime.start` says.

        Args:
            family: The family of the worker.
            jobs: The jobs that the worker may be given. The device is that of the first.
            limits: Of these only the time of silence, the number of threads and the grace are kept.
            log: Shows a line if another process builds the environment.

        Yields:
            The worker.
        """
        device, visible = device_options(jobs[0].job)
        defaults = NO_SPINNING | ONE_BLAS_THREAD | KEEP_MEMORY
        variables = defaults | worker_variables() | OFFLINE | visible
        variables["PYTHONPATH"] = str(worker_imports())
        if limits.threads is not None:
            variables["OMP_NUM_THREADS"] = str(limits.threads)
        # -P: nothing is imported from the folder that the worker runs in.
        python = [str(environment.python_of(family)), "-P", "-m", "zoo.worker"]
        # A process group of its own: Ctrl-C reaches the host alone, which then asks it to end.
        # Packages such as torch_geometric leave files where temporary ones are.
        with (
            environment.hold(family, exclusive=False, log=log),
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary,
            subprocess.Popen(
                [*python, "--family", str(family.path), *device],
                env=variables | {"TMPDIR": temporary}, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            ) as process,
        ):  # fmt: skip
            worker = ChildProcess(process, limits)
            try:
                yield worker
            finally:
                worker.kill()


RUNTIME = Venv()


class ChildProcess(Worker):
    """A worker that is a child process.

    It ends with its standard input, a pipe that this process holds open.
    """

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        """Take over a process.

        Args:
            process: The process, with pipes for its standard input and its errors.
            limits: What it may use; of these, `silence` and `grace` are kept.
        """
        assert process.stdin is not None and process.stderr is not None
        super().__init__(iter(process.stderr), limits.silence)
        self._grace = limits.grace
        self._process, self._input = process, process.stdin
        self._sending = threading.Lock()  # `kill`, in another thread, would free the descriptor

    @property
    def waits(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def send(self, line: bytes) -> None:
        """Write a line to the process's standard input.

        Args:
            line: The line, with its end.

        Raises:
            BrokenPipeError: The process has ended, or is to end.
        """
        with self._sending:
            if self._input.closed:
                raise BrokenPipeError("the worker has been told to end")
            # Unbuffered: what is left in a buffer would fail at the end.
            os.write(self._input.fileno(), line)

    def kill(self) -> None:
        """End the process and all that it started, at first by asking.

        The end of its input asks for the same as SIGTERM, and twice is not too often: whoever ends
        this process, as a cluster's scheduler does, may have sent SIGTERM to all processes, and a
        second one would end the worker before it has written its shard.
        """
        with self._sending, suppress(OSError):
            self._input.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    os.killpg(self._process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(self._grace)

    def exit_code(self) -> int:
        """Wait for the end; return the exit code, or -n if signal n ended it."""
        return self._process.wait()

    def explain_end(self, watch: Watch) -> RunError:
        """Return the error of the process, which has closed its output.

        Args:
            watch: What was seen of the job.
        """
        code = self.exit_code()
        if code == -signal.SIGKILL and watch.memory_ran_out and not watch.hung:
            ending = "killed by the kernel because this machine's memory ran out"
            return OutOfMemory(watch.explain(ending))
        if code == -signal.SIGKILL and not watch.hung:
            return Killed(watch.explain(_describe_exit(code)))
        return RunError(watch.explain(_describe_exit(code)))


def device_options(job: Path) -> tuple[list[str], dict[str, str]]:
    """Return the worker's options and variables for a GPU that the job names by its UUID.

    torch knows GPUs by number only, so CUDA is told to show the one, which then is the first.

    Args:
        job: The job's folder.

    Returns:
        The options and the variables; both empty for any other device.
    """
    kind, _, which = Job.read(job).device.partition(":")
    if not which or which.isdecimal():
        return [], {}
    return ["--device", f"{kind}:0"], {"CUDA_VISIBLE_DEVICES": which}


def _describe_exit(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed by SIGKILL from outside"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else "exit code 0, but no run.json"
