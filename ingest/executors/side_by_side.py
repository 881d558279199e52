"""Run requests by several workers at once, where one would leave processors idle.

Most models compute small systems no faster with several threads than with one, so a worker per
processor is done sooner. What a worker computes does not depend on what runs beside it.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from ingest.runs.cost import START_SECONDS
from ingest.runs.execute import Execution, Turn
from ingest.runs.reporting import report_error
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.neighbors import Neighbors
from ingest.runtimes.protocol import Runtime

# More than twice what any bundled model takes for the crystals of aflow (1.4 GB).
WORKER_BYTES = 3 * 10**9


@dataclass
class Group:
    """Requests that one worker can do: one family, one device.

    Attributes:
        turns: The requests that wait for a worker.
        workers: How many workers there are for them.
    """

    turns: list[Turn]
    workers: int = 0

    @property
    def seconds(self) -> float:
        """How long the requests that wait take, as far as that is known."""
        return sum(turn.seconds for turn in self.turns)


@dataclass(frozen=True)
class Crew:
    """How many workers there are, and how many threads each of them has.

    Attributes:
        workers: Workers at once.
        threads: Threads per worker; None leaves that to their packages.
    """

    workers: int
    threads: int | None = None


def choose_crew(
    runtime: Runtime,
    devices: Sequence[str],
    seconds: Sequence[float],
    cores: int,
    free: int | None,
) -> Crew:
    """Choose how many workers are to run at once.

    It is one on a GPU, in containers, each of which may take the machine's whole memory, and where
    nobody knows how long the models take or most of the work is one model's, which then has all
    processors. OMP_NUM_THREADS, if it is set, says how many threads a worker has.

    Args:
        runtime: What starts the workers.
        devices: Where each of the requests is to be computed.
        seconds: How long each of them takes; 0 if that is not known.
        cores: How many processors there are.
        free: Bytes of memory that are free; None if that is not known.
    """
    if runtime.confines or any(device != "cpu" for device in devices) or not seconds:
        return Crew(1)
    stated = os.environ.get("OMP_NUM_THREADS", "")
    own = int(stated) if stated.isdecimal() else 0
    workers = min(
        cores // max(own, 1),
        cores if free is None else free // WORKER_BYTES,
        int(sum(seconds) / max(*seconds, START_SECONDS)),
    )
    if workers < 2:
        return Crew(1)
    return Crew(workers, own or cores // workers)


class SideBySide:
    """Several threads of this process, each of which has a worker and takes request after request.

    A family has one worker as long as other families wait; another one helps it if what is left
    takes longer than a worker needs to start. Long requests come first, so that all end together.
    """

    def __init__(
        self,
        execution: Execution,
        groups: Sequence[Sequence[Turn]],
        crew: Crew,
        attempt: Callable[[Turn, FamilyWorker], bool],
    ) -> None:
        """Prepare; `run` starts the workers.

        Args:
            execution: What makes the workers.
            groups: The requests, those in groups that one worker can do.
            crew: How many workers there are.
            attempt: Runs a request with a worker; returns whether it is not to be tried again.
        """
        self._execution, self._crew, self._attempt = execution, crew, attempt
        self._neighbors = Neighbors(crew.threads or 1)
        longest_first = partial(sorted, key=lambda turn: turn.seconds, reverse=True)
        self._groups = [Group(longest_first(group)) for group in groups]
        self._groups.sort(key=lambda group: group.seconds, reverse=True)
        self._lock = threading.Lock()
        self._again: list[Turn] = []
        self._errors: list[BaseException] = []
        self._at_work: set[int] = set()  # the threads that can be interrupted

    def run(self) -> list[Turn]:
        """Run the requests. If this thread is interrupted, all workers end.

        Returns:
            Those that are to be tried again.
        """
        threads = [
            threading.Thread(target=self._serve, name=f"worker {number}", daemon=True)
            for number in range(self._crew.workers)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if self._errors:
                raise self._errors.pop(0)
        except BaseException:
            self._end()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            for error in self._errors:
                report_error(f"{type(error).__name__}: {error}")
            raise
        return self._again

    def _serve(self) -> None:
        """Work; what nobody foresaw ends all, and `run` raises it."""
        own = threading.get_ident()
        try:
            try:
                self._at_work.add(own)
                self._work()
            finally:
                with self._lock:
                    self._at_work.discard(own)
        except BaseException as error:
            ending = self._neighbors.ending
            if not (ending and isinstance(error, KeyboardInterrupt)):
                self._errors.append(error)
            if not ending:
                self._end()

    def _end(self) -> None:
        """End all workers, and interrupt the threads that download, build, wait or load."""
        self._neighbors.end()
        with self._lock:
            while self._at_work:
                thread = ctypes.c_ulong(self._at_work.pop())
                interrupt = ctypes.py_object(KeyboardInterrupt)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, interrupt)

    def _work(self) -> None:
        """Take request after request."""
        group: Group | None = None
        with ExitStack() as held:
            while (taken := self._take(group)) is not None:
                next_group, turn = taken
                if next_group is not group:
                    held.close()
                    waiting = [turn, *next_group.turns]
                    worker = held.enter_context(self._execution.worker(waiting, self._neighbors))
                group = next_group
                if not self._attempt(turn, worker):
                    self._again.append(turn)

    def _take(self, group: Group | None) -> tuple[Group, Turn] | None:
        """Return the next request of a worker and its group; None if there is nothing for it."""
        with self._lock:
            if self._neighbors.ending:
                return None
            if group is None or not group.turns:
                if group is not None:
                    group.workers -= 1
                group = self._choose()
                if group is None:
                    return None
                group.workers += 1
            return group, group.turns.pop(0)

    def _choose(self) -> Group | None:
        """Return the group that a worker is to be started for, if it is worth while."""
        waiting = [group for group in self._groups if group.turns]
        for group in waiting:
            if group.workers == 0:
                return group
        longest = max(waiting, key=lambda group: group.seconds / group.workers, default=None)
        if longest is None or longest.seconds / longest.workers < START_SECONDS:
            return None
        return longest
