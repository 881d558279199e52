"""Run requests from this process: one after another, or several at once on several cores."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import duckdb

from ingest.executors.protocol import Where
from ingest.executors.side_by_side import Crew, SideBySide, choose_crew
from ingest.failures import RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.errors import RequestError, RunBusy, ShardError, explain_disk_error
from ingest.runs.execute import Execution, Turn
from ingest.runs.reporting import report_error
from ingest.runs.request import Request, Settings
from ingest.runs.store.waiting import PATIENCE, SHORT_PATIENCE
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.protocol import Runtime
from schemas.errors import StoreError, StoreLocked
from zoo.command_line import print_now
from zoo.machine import count_cores, free_memory

Attempt = Callable[[Turn, FamilyWorker], bool]  # runs a request; False: it is to be tried again


class LocalExecutor:
    """Runs requests in this process. It implements `ingest.executors.protocol.Executor`.

    Attributes:
        name: The name by which it is chosen.
        runtimes: All.
        schedules: The command stays until all is done.
        takes: No options.
        reserves: Nothing.
    """

    name = "local"
    runtimes: tuple[str, ...] = ()
    schedules = False
    takes: tuple[str, ...] = ()
    reserves = False

    def __init__(self, layout: Layout, runtime: Runtime, limits: Limits, where: Where) -> None:
        """Make an executor; see `Executor`."""
        self._layout = layout
        self._execution = Execution(layout, runtime, limits)
        self._failed: list[Request] = []
        self._numbers: dict[int, int] = {}  # of the requests whose turn has come

    @staticmethod
    def check(where: Where, settings: Settings) -> None:
        """Refuse nothing; see `Executor`.

        Args:
            where: Has no options: those of others are refused before.
            settings: How the models are to be run.
        """

    def run(self, requests: Sequence[Request], command: str = "") -> list[Request]:
        """Run requests, those of a family together, so that they share a worker.

        On several cores, several families have a worker at once; see `choose_crew`.

        Of several requests, those that another process keeps from being run, because it works on
        the same run or uses the store, are tried once more after the others.

        Args:
            requests: Requests, each of another model or over another dataset.
            command: Not needed: everything is reported now.

        Returns:
            The requests that failed.
        """
        self._failed, self._numbers = [], {}
        total = len(requests)
        later = self._run(requests, total, SHORT_PATIENCE, again=total > 1)
        self._run(later, total, PATIENCE, again=False)
        for request, fault in self._execution.finish():
            model_id = request.selection.model_id
            self._fail(
                request,
                f"the vectors of {model_id} are computed, and not in the store: {fault}; "
                "repeat the command to load them",
            )
        return self._failed

    def _run(
        self, requests: Sequence[Request], total: int, patience: float, *, again: bool
    ) -> list[Request]:
        """Run requests of `total`; return those to be tried again, because others are busy."""
        groups = [
            [self._execution.prepare(request, patience) for request in group]
            for group in _by_worker(requests)
        ]
        counter = itertools.count(len(self._numbers) + 1)

        def attempt(turn: Turn, worker: FamilyWorker) -> bool:
            if total > 1:
                if id(turn.request) not in self._numbers:
                    self._numbers[id(turn.request)] = next(counter)
                turn = replace(turn, place=f"[{self._numbers[id(turn.request)]} of {total}] ")
            return self._try(turn, worker, patience, again=again)

        turns = [turn for group in groups for turn in group]
        crew = choose_crew(
            self._execution.runtime,
            [turn.request.device for turn in turns],
            [turn.seconds for turn in turns],
            count_cores(),
            free_memory(),
        )
        if crew.workers == 1:
            return [turn.request for turn in self._one_by_one(groups, attempt)]
        return [turn.request for turn in self._side_by_side(groups, crew, attempt)]

    def _one_by_one(self, groups: Sequence[list[Turn]], attempt: Attempt) -> list[Turn]:
        """Run requests one after another; return those to be tried again."""
        later = []
        for turns in groups:
            with self._execution.worker(turns) as worker:
                later += [turn for turn in turns if not attempt(turn, worker)]
        return later

    def _side_by_side(
        self, groups: Sequence[list[Turn]], crew: Crew, attempt: Attempt
    ) -> list[Turn]:
        """Run requests by several workers, first those that need none; see `_one_by_one`."""
        idle = [[turn] for group in groups for turn in group if not turn.runs]
        later = self._one_by_one(idle, attempt)
        busy = [[turn for turn in group if turn.runs] for group in groups]
        return later + SideBySide(self._execution, busy, crew, attempt).run()

    def _try(self, turn: Turn, worker: FamilyWorker, patience: float, *, again: bool) -> bool:
        """Run one request; return False if it is to be tried again, because others are busy."""
        request = turn.request
        name = f"{request.selection.model_id} on {request.dataset.dataset}"
        try:
            self._execution.execute(turn, worker, patience)
        except duckdb.InterruptException:
            raise
        except (RunError, ShardError, StoreError, RequestError, duckdb.Error) as error:
            if again and isinstance(error, StoreLocked | RunBusy):
                print_now(f"{turn.name}: tried again after the others, since {error}")
                return False
            self._fail(request, f"{name}: {error}")
        except OSError as error:
            fault = explain_disk_error(error, self._layout)
            if fault is None:
                raise
            self._fail(request, f"{name}: {fault}")
        return True

    def _fail(self, request: Request, fault: str) -> None:
        report_error(fault)
        self._failed.append(request)


def _by_worker(requests: Sequence[Request]) -> list[list[Request]]:
    """Return the requests that one worker can do, as groups in the order of their first ones."""
    groups: dict[tuple[str, str], list[Request]] = {}
    for request in requests:
        key = request.selection.family.name, request.device
        groups.setdefault(key, []).append(request)
    return list(groups.values())


EXECUTOR = LocalExecutor
