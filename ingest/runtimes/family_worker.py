"""One worker of a family at a time: it takes job after job, and another follows where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from ingest.callbacks import Log, OnEvent
from ingest.failures import Vanished
from ingest.limits import Limits
from ingest.runtimes.protocol import Runtime
from ingest.runtimes.worker import JobPlaces, Worker
from zoo.cards.family import Family

MOST_JOBS = 64  # that a container is made for: each is two mounts


class FamilyWorker:
    """A worker of a family, started with the first job and again after each job that fails.

    So the family's packages are imported once for all jobs that go well, and a job that ends its
    worker costs no other. It is a context manager: the worker is ended with the block.
    """

    def __init__(
        self,
        runtime: Runtime,
        family: Family,
        jobs: Sequence[JobPlaces],
        limits: Limits,
        log: Log,
    ) -> None:
        """Prepare for some jobs; no worker is started yet.

        Args:
            runtime: What starts the workers.
            family: The family of the jobs.
            jobs: The jobs that are going to be run, in their order. All ask for the same device.
            limits: What a worker may use.
            log: Shows a line if another process has to be waited for.
        """
        self._runtime, self._family, self._limits, self._log = runtime, family, limits, log
        self._jobs = list(jobs)
        self._worker: Worker | None = None
        self._known: list[JobPlaces] = []  # the jobs that the worker was started for
        self._started: AbstractContextManager[Worker] | None = None

    @property
    def ending(self) -> bool:
        """Whether it is to end at once, so that an error says nothing about a job."""
        return False

    def __enter__(self) -> FamilyWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def run(self, places: JobPlaces, on_event: OnEvent) -> None:
        """Have a job done.

        Args:
            places: Where the job lies; one of those that this was made for, or another.
            on_event: Is called with each event of the worker.

        Raises:
            RunError: If no worker can be started, or the job does not finish.
        """
        try:
            self._run(places, on_event)
        except Vanished:
            self._run(places, on_event)

    def _run(self, places: JobPlaces, on_event: OnEvent) -> None:
        """Have a job done; an error ends the worker, and passes through what had started it."""
        worker = self._ready(places)
        with ExitStack() as ending:
            ending.callback(self._forget)
            assert self._started is not None
            ending.push(self._started)
            worker.run(places, on_event)
            ending.pop_all()

    def _ready(self, places: JobPlaces) -> Worker:
        """Return the worker if it can do the job, else a new one."""
        if self._worker is not None and places in self._known and self._worker.waits:
            return self._worker
        self.end()
        first = self._jobs.index(places) if places in self._jobs else len(self._jobs)
        self._known = [places, *self._jobs[first + 1 :]][:MOST_JOBS]
        started = self._runtime.start(self._family, self._known, self._limits, self._log)
        self._worker, self._started = started.__enter__(), started
        return self._worker

    def end(self) -> None:
        """End the worker, if there is one; the next job starts another."""
        started = self._started
        self._forget()
        if started is not None:
            started.__exit__(None, None, None)

    def _forget(self) -> None:
        self._worker = self._started = None


def run_alone(
    runtime: Runtime,
    family: Family,
    places: JobPlaces,
    on_event: OnEvent,
    limits: Limits,
    log: Log,
) -> None:
    """Have one job done by a worker of its own.

    Args:
        runtime: What starts the worker.
        family: The family of the job.
        places: Where the job lies.
        on_event: Is called with each event of the worker.
        limits: What the worker may use.
        log: Shows a line if another process has to be waited for.

    Raises:
        RunError: If the job does not finish.
    """
    with FamilyWorker(runtime, family, [places], limits, log) as worker:
        worker.run(places, on_event)
