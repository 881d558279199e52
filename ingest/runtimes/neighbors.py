"""Workers that run side by side on one machine, and do not take each other with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ingest.callbacks import Log, OnEvent
from ingest.failures import Killed, RunError
from ingest.limits import Limits
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.protocol import Runtime
from ingest.runtimes.worker import JobPlaces, Worker
from zoo.cards.family import Family


class Neighbors:
    """Several workers on one machine, each of which is driven by a thread of its own.

    A worker that is killed beside others may not be to blame: they share the machine's memory. So
    its job is done once more while the others wait, and only what happens then counts.

    Attributes:
        ending: Whether all of them are to end.
    """

    def __init__(self, threads: int) -> None:
        """Begin with no worker.

        Args:
            threads: Threads that the packages of each worker compute with.
        """
        self.ending = False
        self._threads = threads
        self._workers: list[NeighborWorker] = []
        self._changed = threading.Condition()
        self._at_work = self._begun = self._waiting_for_solitude = 0
        self._solitude = False

    def add(
        self,
        runtime: Runtime,
        family: Family,
        jobs: Sequence[JobPlaces],
        limits: Limits,
        log: Log,
    ) -> NeighborWorker:
        """Return a worker that runs beside the others.

        Args:
            runtime: See `FamilyWorker`, as for all that follows.
            family: The family of the jobs.
            jobs: The jobs that are going to be run.
            limits: What the worker may use.
            log: Shows a line if something is to be reported.
        """
        own = replace(limits, threads=self._threads)
        worker = NeighborWorker(self, runtime, family, jobs, own, log)
        self._workers.append(worker)
        return worker

    def end(self) -> None:
        """End all workers at once. Threads that have one at work get a KeyboardInterrupt."""
        with self._changed:
            self.ending = True
            self._changed.notify_all()
        # Side by side, since each has some seconds to write what it holds.
        ends = [threading.Thread(target=worker.interrupt) for worker in list(self._workers)]
        for end in ends:
            end.start()
        for end in ends:
            end.join()

    @contextmanager
    def at_work(self, *, alone: bool = False) -> Iterator[Callable[[], bool]]:
        """Take part in the work, as soon as no worker needs the machine for itself.

        Args:
            alone: Whether no other may work meanwhile.

        Yields:
            A function that returns whether others have been at work since.

        Raises:
            KeyboardInterrupt: All are to end.
        """
        with self._changed:
            self._waiting_for_solitude += alone
            self._changed.wait_for(lambda: self.ending or self._may_begin(alone))
            self._waiting_for_solitude -= alone
            if self.ending:
                raise KeyboardInterrupt
            others, self._solitude = self._at_work > 0, alone
            self._at_work += 1
            self._begun += 1
            begun = self._begun
        try:
            yield lambda: others or self._begun > begun
        finally:
            with self._changed:
                self._at_work -= 1
                self._solitude = False
                self._changed.notify_all()

    def _may_begin(self, alone: bool) -> bool:
        if alone:
            return self._at_work == 0
        return not self._solitude and not self._waiting_for_solitude


class NeighborWorker(FamilyWorker):
    """A worker of a family, beside those of others; `Neighbors.add` makes it."""

    def __init__(
        self,
        neighbors: Neighbors,
        runtime: Runtime,
        family: Family,
        jobs: Sequence[JobPlaces],
        limits: Limits,
        log: Log,
    ) -> None:
        """Prepare for some jobs; see `FamilyWorker`.

        Args:
            neighbors: What it belongs to.
            runtime: See `FamilyWorker`, as for all that follows.
            family: The family of the jobs.
            jobs: The jobs that are going to be run.
            limits: What the worker may use.
            log: Shows a line if something is to be reported.
        """
        super().__init__(runtime, family, jobs, limits, log)
        self._neighbors = neighbors

    @property
    def ending(self) -> bool:
        """Whether all workers are to end at once."""
        return self._neighbors.ending

    def run(self, places: JobPlaces, on_event: OnEvent) -> None:
        """Have a job done; see `FamilyWorker.run`.

        Args:
            places: Where the job lies.
            on_event: Is called with each event of the worker.

        Raises:
            RunError: If no worker can be started, or the job does not finish. If the worker was
                killed, no other was at work meanwhile.
            KeyboardInterrupt: All workers are to end.
        """
        try:
            try:
                with self._neighbors.at_work() as had_company:
                    super().run(places, on_event)
                return
            except Killed as killed:
                if self.ending or not had_company():
                    raise
                self._log(f"{_first_line(killed)}; once more, while the others wait")
            with self._neighbors.at_work(alone=True):
                super().run(places, on_event)
        except RunError as error:
            if self.ending:
                raise KeyboardInterrupt from error
            raise

    def interrupt(self) -> None:
        """End the worker from another thread than its own, if it has been started."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    def _ready(self, places: JobPlaces) -> Worker:
        worker = super()._ready(places)
        if self.ending:  # meanwhile; `interrupt` may have come too early
            raise KeyboardInterrupt
        return worker


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
