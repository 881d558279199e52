"""Run requests from this process, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingest.failures import RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.errors import RequestError, RunBusy, ShardError, explain_disk_error
from ingest.runs.execute import Execution, Turn
from ingest.runs.reporting import report_error
from ingest.runs.request import Request
from ingest.runs.store.waiting import PATIENCE, SHORT_PATIENCE
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.protocol import Runtime
from schemas.errors import StoreError, StoreLocked
from zoo.command_line import print_now


class LocalExecutor:
    """Runs requests in this process. It implements `ingest.executors.protocol.Executor`.

    Attributes:
        name: The name by which it is chosen.
    """

    name = "local"

    def __init__(self, layout: Layout, runtime: Runtime, limits: Limits) -> None:
        """Make an executor; see `Executor`."""
        self._layout = layout
        self._execution = Execution(layout, runtime, limits)
        self._failed: list[Request] = []

    def run(self, requests: Sequence[Request]) -> list[Request]:
        """Run requests one after another, those of a family together, so that they share a worker.

        Of several requests, those that another process keeps from being run, because it works on
        the same run or uses the store, are tried once more after the others.

        Args:
            requests: Requests, each of another model or over another dataset.

        Returns:
            The requests that failed.
        """
        self._failed = []
        many = len(requests) > 1
        ordered = [request for group in _by_worker(requests) for request in group]
        places = {
            id(request): f"[{number} of {len(requests)}] " if many else ""
            for number, request in enumerate(ordered, start=1)
        }
        later = self._run(ordered, places, SHORT_PATIENCE, again=many)
        self._run(later, places, PATIENCE, again=False)
        for request, fault in self._execution.finish():
            model_id = request.selection.model_id
            self._fail(
                request,
                f"the vectors of {model_id} are computed, and not in the store: {fault}; "
                "repeat the command to load them",
            )
        return self._failed

    def _run(
        self, requests: Sequence[Request], places: dict[int, str], patience: float, *, again: bool
    ) -> list[Request]:
        """Run requests; return those to be tried again, because others are busy."""
        later = []
        for group in _by_worker(requests):
            turns = [
                self._execution.prepare(request, places[id(request)], patience) for request in group
            ]
            with self._execution.worker(turns) as worker:
                later += [
                    turn.request
                    for turn in turns
                    if not self._try(turn, worker, patience, again=again)
                ]
        return later

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
