"""Compute what is missing with tasks of Ray, and load it from this process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ingest.executors.protocol import Where
from ingest.executors.ray.drive import Drive
from ingest.executors.ray.engine import (
    LOCAL,
    OBJECT_STORE,
    Ray,
    RayError,
    choose_address,
    require_ray,
)
from ingest.executors.shared.grouping import group
from ingest.executors.shared.staging import Staging
from ingest.executors.shared.submission import LOADED, Submission, lock_submissions
from ingest.executors.shared.work_left import Work, find_work
from ingest.executors.slurm.claims import find_claims_elsewhere
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.errors import RequestError
from ingest.runs.request import Request, Settings
from ingest.runtimes.protocol import Runtime
from zoo.command_line import print_now
from zoo.files import file_lock
from zoo.machine import count_cores, free_memory
from zoo.terminal import megabytes, plural

LOCK = (
    ".ray.lock"  # in the folder of submissions: one command at a time has Ray compute for a store
)


class RayExecutor:
    """Runs requests as tasks of Ray. It implements `ingest.executors.protocol.Executor`.

    Attributes:
        name: The name by which it is chosen.
        runtimes: Those that need no daemon on a node.
        schedules: The command stays until all is done.
        takes: The options that it takes.
        reserves: A task takes as much of a node as --cpus and --memory say.
    """

    name = "ray"
    runtimes: tuple[str, ...] = ("venv", "apptainer")
    schedules = False
    takes: tuple[str, ...] = ("--address", "--at-once", "--per-task")
    reserves = True

    def __init__(self, layout: Layout, runtime: Runtime, limits: Limits, where: Where) -> None:
        """Make an executor; see `Executor`.

        Raises:
            RayError: Ray is not installed.
        """
        require_ray()
        self._layout, self._runtime, self._limits, self._where = layout, runtime, limits, where
        self._staging = Staging(layout, runtime)

    @staticmethod
    def check(where: Where, settings: Settings) -> None:
        """Refuse options; see `Executor`.

        Args:
            where: The address of Ray, among others.
            settings: How the models are to be run.

        Raises:
            RequestError: An option is not what it has to be.
        """
        if settings.device not in ("cpu", "cuda"):
            raise RequestError(
                f"--device is {settings.device}; on ray, Ray chooses the GPU: give cuda"
            )
        address = choose_address(where.address)
        if "://" in address:
            named = "--address" if where.address else "RAY_ADDRESS"
            raise RequestError(
                f"{named} is {address!r}; expected host:port or auto, on a machine that is part of "
                "the cluster"
            )
        if address == LOCAL:
            _require_room(settings)

    def run(self, requests: Sequence[Request], command: str = "") -> list[Request]:
        """Compute what is missing, and load it.

        Args:
            requests: Requests, each of another model or over another dataset.
            command: The command that asks for the same again.

        Returns:
            The requests of which not all is in the store.

        Raises:
            RayError: Ray cannot be started or reached, or was lost. What was finished is loaded.
        """
        folder = self._layout.submissions
        folder.mkdir(parents=True, exist_ok=True)
        waiting = "waiting for another command that has Ray compute for this store"
        with file_lock(folder / LOCK, on_wait=lambda holder: print_now(f"{waiting}: {holder}")):
            return self._run(requests, command)

    def _run(self, requests: Sequence[Request], command: str) -> list[Request]:
        submission = Submission.new(self._layout)
        with ExitStack() as held:
            with lock_submissions(self._layout):  # who submits to Slurm sees what this command does
                claims = find_claims_elsewhere(self._layout)
                work, failed = find_work(self._staging, requests, claims)
                if not work.chunks and not work.load:
                    print_now("nothing to compute")
                    return failed
                (submission.folder / "logs").mkdir(parents=True)
                held.enter_context(
                    file_lock(submission.lock)
                )  # before others see it, who may clean
                self._write(submission, requests[0], work, command)
            drive = Drive(submission, self._where.at_once)
            drive.load_finished()
            if work.chunks:
                self._compute(drive, requests[0].device, command)
            drive.settle()
        lacking = {
            id(work.requests[run.run_id])
            for run, outcome in drive.outcomes.items()
            if outcome != LOADED
        }
        return failed + [request for request in requests if id(request) in lacking]

    def _write(self, submission: Submission, request: Request, work: Work, command: str) -> None:
        """Write what is submitted; all requests have one device."""
        tasks = group(work.chunks, len(work.chunks), self._where.per_task)
        runtime, silence = self._runtime.name, self._limits.silence
        how = {"engine": self.name, "command": command, "runtime": runtime, "silence": silence}
        submission.write(request, tasks, work.load, **how)

    def _compute(self, drive: Drive, device: str, command: str) -> None:
        """Have Ray do all tasks."""
        submission = drive.submission
        takes: dict[str, float] = {"num_cpus": self._limits.cpus or 1}
        takes |= {"num_gpus": 1} if device == "cuda" else {}
        takes |= {"memory": self._limits.memory} if self._limits.memory else {}
        try:
            with Ray(self._where.address, takes, submission.folder / "logs" / "ray.log") as ray:
                self._report(ray, submission, device)
                try:
                    drive.run(ray)
                except KeyboardInterrupt:
                    print_now("ending: tasks write what they have (Ctrl-C again ends them at once)")
                    raise
        except RayError as error:
            drive.load_finished()
            loaded = sum(outcome == LOADED for outcome in drive.outcomes.values())
            raise RayError(
                f"{error}\n{loaded} of {plural(len(submission.runs), 'chunk')} are in the store; "
                f"`{command}` computes the rest"
            ) from error

    def _report(self, ray: Ray, submission: Submission, device: str) -> None:
        """Report where the tasks run, and whether any of them can now."""
        where = "on this machine" if ray.address == LOCAL else f"at {ray.address}"
        chunks = plural(sum(map(len, submission.tasks)), "chunk")
        print_now(f"Ray {where}: {ray.nodes}")
        print_now(
            f"{submission.name}: {chunks} in {plural(len(submission.tasks), 'task')}; logs are in "
            f"{submission.folder / 'logs'}"
        )
        if device == "cuda" and ray.gpus < 1:
            if ray.address == LOCAL:
                raise RayError("there is no GPU here that Ray sees: leave out --device cuda")
            print_now("no node of it has a GPU now, so tasks wait until one has")


def _require_room(settings: Settings) -> None:
    """Refuse a task that this machine has no room for: Ray would wait for ever."""
    cores = count_cores()
    if (settings.cpus or 0) > cores:
        raise RequestError(
            f"--cpus is {settings.cpus:g}; expected at most {cores}, since this machine has no more"
        )
    free = free_memory()
    if settings.memory and free is not None and settings.memory > free - OBJECT_STORE:
        raise RequestError(
            f"--memory is {megabytes(settings.memory)}; expected less than the "
            f"{megabytes(free)} that are free on this machine"
        )
