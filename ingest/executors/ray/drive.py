"""Have Ray do the tasks of a submission, and load chunks as they are finished.

What became of a chunk is read from its folder, whatever has ended its task: a node, Ray, or its own
fault. A task that has got on is started again at once; one that has not is after a pause, and not
for ever.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from dataclasses import dataclass, field

from ingest.executors.ray.engine import Ray
from ingest.executors.shared.late import FileWait
from ingest.executors.shared.loading import load_chunk, load_chunks
from ingest.executors.shared.program import carried_variables, program
from ingest.executors.shared.starts import Starts
from ingest.executors.shared.submission import LOADED, Submission
from ingest.integrity import Damaged
from ingest.runs.folder import Run
from ingest.runs.reporting import report_error
from ingest.runs.store.waiting import SHORT_PATIENCE
from schemas.errors import StoreLocked
from zoo.command_line import print_now

LOOK = 5.0  # s between two looks for finished chunks of tasks that go on
PAUSE = 15.0  # s before a task that has not got on is started again
MOST_PAUSES = 8  # in a row: two minutes, in which what is left of a lost node ends
Standing = list[tuple[bool, int, int, bool]]


@dataclass
class Drive:
    """The tasks of a submission.

    Attributes:
        submission: The submission.
        at_once: How many tasks may run at the same time; None leaves that to Ray.
        outcomes: What became of the chunks that are settled, by their runs.
    """

    submission: Submission
    at_once: int | None = None
    outcomes: dict[Run, str] = field(default_factory=dict)
    _waiting: list[tuple[float, int]] = field(default_factory=list)  # when a task may start
    _running: set[int] = field(default_factory=set)
    _pauses: Counter[int] = field(default_factory=Counter)
    _standing: dict[int, Standing] = field(default_factory=dict)  # at the last start
    _postponed: dict[Run, None] = field(default_factory=dict)  # finished, while the store was used

    def __post_init__(self) -> None:
        self._tasks = self.submission.tasks
        self._waiting = [(0.0, number) for number in range(len(self._tasks))]

    def run(self, ray: Ray) -> None:
        """Have all tasks done, as far as that can be.

        Args:
            ray: What starts them.

        Raises:
            RayError: Ray is lost; what is finished can still be loaded.
        """
        looked = time.monotonic()
        while self._waiting or self._running:
            self._start_due(ray)
            event = ray.next(1.0)
            if event is not None:
                self._take(event["task"], event["fault"])
            if time.monotonic() > looked + LOOK:
                at_work = [run for number in self._running for run in self._tasks[number]]
                self._load_finished([*self._postponed, *at_work])
                looked = time.monotonic()

    def load_finished(self) -> None:
        """Load all chunks that are finished and not loaded."""
        self._load_finished(self.submission.runs)

    def settle(self) -> None:
        """Load what is left, or report why it cannot be."""
        left = [run for run in self.submission.runs if run not in self.outcomes]
        for run, outcome in load_chunks(self.submission, left, FileWait()):
            self._settle(run, outcome)

    def _start_due(self, ray: Ray) -> None:
        """Start the tasks whose time has come."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            if self.at_once is not None and len(self._running) >= self.at_once:
                return
            _, number = heapq.heappop(self._waiting)
            self._standing[number] = self._look(number)
            self._running.add(number)
            layout = self.submission.layout
            words = ["work", "--store", str(layout.store), self.submission.name]
            words += ["--task", str(number), "--tied"]
            log = self.submission.folder / "logs" / f"task-{number}.log"
            ray.start(number, [*program(), *words], carried_variables(), log)

    def _take(self, number: int, fault: str | None) -> None:
        """Load what a task that has ended has finished; have it started again if that may help."""
        self._running.discard(number)
        runs = self._tasks[number]
        self._load_finished(runs)
        standing = self._look(number)
        if all(finished or failed for finished, _, _, failed in standing):
            return
        if fault is not None:
            print_now(f"  task {number} was ended: {fault}")
        pause = 0.0
        if standing == self._standing[number]:
            self._pauses[number] += 1
            pause = PAUSE
        else:
            self._pauses[number] = 0
        if self._pauses[number] > MOST_PAUSES:
            log = self.submission.folder / "logs" / f"task-{number}.log"
            report_error(f"task {number} is not started again, since it does not get on; see {log}")
            return
        print_now(f"  task {number} is started again" + (f" in {pause:.0f} s" if pause else ""))
        heapq.heappush(self._waiting, (time.monotonic() + pause, number))

    def _look(self, number: int) -> Standing:
        """Return how far a task's chunks are: finished, shards, starts, failed."""
        found = []
        for run in self._tasks[number]:
            try:
                starts = Starts.of(self.submission, run)
            except Damaged:  # `load_chunk` says what is wrong
                starts = Starts(failed=True)
            found.append((run.finished, len(run.shards), len(starts.nodes), starts.failed))
        return found

    def _load_finished(self, runs: list[Run]) -> None:
        """Load what is finished; while others use the store, that is put off."""
        due = [run for run in runs if run not in self.outcomes and run.finished]
        for run in due:
            try:
                self._settle(run, load_chunk(self.submission, run, FileWait(), SHORT_PATIENCE))
            except StoreLocked as error:
                if not self._postponed:
                    print_now(f"  finished chunks are loaded later: {error}")
                self._postponed |= dict.fromkeys(due)
                return
            self._postponed.pop(run, None)

    def _settle(self, run: Run, outcome: str) -> None:
        self.outcomes[run] = outcome
        loaded = sum(outcome == LOADED for outcome in self.outcomes.values())
        if outcome == LOADED:
            print_now(f"  {loaded} of {len(self.submission.runs)} chunks are in the store")
