"""Run requests in this process, one after another."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingest.failures import RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.errors import RequestError, RunBusy, ShardError, explain_disk_error
from ingest.runs.execute import Execution
from ingest.runs.reporting import report_error
from ingest.runs.request import Request
from ingest.runs.store.waiting import PATIENCE, SHORT_PATIENCE
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
        self._failed: list[str] = []

    def run(self, requests: Sequence[Request]) -> list[str]:
        """Run requests one after another.

        Of several requests, those that another process keeps from being run, because it works on
        the same run or uses the store, are tried once more after the others.

        Args:
            requests: Requests over one dataset, each of another model.

        Returns:
            The ids of the models that failed.
        """
        self._failed = []
        many = len(requests) > 1
        numbered = [
            (f"[{number} of {len(requests)}] " if many else "", request)
            for number, request in enumerate(requests, start=1)
        ]
        later = [pair for pair in numbered if not self._try(*pair, SHORT_PATIENCE, again=many)]
        for place, request in later:
            self._try(place, request, PATIENCE, again=False)
        for model_id, fault in self._execution.finish().items():
            self._fail(
                model_id,
                f"the vectors of {model_id} are computed, and not in the store: {fault}; "
                "repeat the command to load them",
            )
        return self._failed

    def _try(self, place: str, request: Request, patience: float, *, again: bool) -> bool:
        """Run one request; return False if it is to be tried again, because others are busy."""
        model_id = request.selection.model_id
        try:
            self._execution.execute(request, place, patience=patience)
        except duckdb.InterruptException:
            raise
        except (RunError, ShardError, StoreError, RequestError, duckdb.Error) as error:
            if again and isinstance(error, StoreLocked | RunBusy):
                print_now(f"{place}{model_id}: tried again after the others, since {error}")
                return False
            self._fail(model_id, f"{model_id} on {request.dataset.dataset}: {error}")
        except OSError as error:
            fault = explain_disk_error(error, self._layout)
            if fault is None:
                raise
            self._fail(model_id, f"{model_id} on {request.dataset.dataset}: {fault}")
        return True

    def _fail(self, model_id: str, fault: str) -> None:
        report_error(fault)
        self._failed.append(model_id)


EXECUTOR = LocalExecutor
