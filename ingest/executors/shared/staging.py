"""Have what nodes need on the shared file system, before anything is submitted.

Nodes often have no network. So weights are downloaded and verified, and environments or images are
made, on the machine that submits; a model for which that fails is not submitted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ingest.executors.shared.claims import Claims
from ingest.executors.shared.late import FilesUnseen, FileWait, await_vectors
from ingest.failures import RunError
from ingest.layout import Layout
from ingest.runs.chunks.whole import WholeChunks
from ingest.runs.errors import RunBusy
from ingest.runs.folder import Run, lock_run
from ingest.runs.plan import Plan, plan
from ingest.runs.reporting import report_step
from ingest.runs.request import Request
from ingest.runs.store.waiting import PATIENCE
from ingest.runs.vectors.files import reopen_damaged
from ingest.runtimes.protocol import Runtime
from zoo.command_line import print_now
from zoo.weights.errors import WeightsError
from zoo.weights.local import download_weights


@dataclass
class Staging:
    """Makes requests ready to be submitted.

    Attributes:
        layout: The store and the files beside it.
        runtime: What is to start the workers.
    """

    layout: Layout
    runtime: Runtime
    _images: dict[str, str | None] = field(default_factory=dict)  # by the family's name
    _unbuildable: dict[str, str] = field(default_factory=dict)
    _wait: FileWait = field(default_factory=FileWait)

    def stage(self, request: Request, claims: Claims, chunks: WholeChunks | None = None) -> Plan:
        """Find what is missing, and have weights, environment and systems where nodes see them.

        Args:
            request: What is asked for.
            claims: What live jobs do; chunks that they compute are left as they are.
            chunks: The chunks of the dataset, for all requests over it.

        Returns:
            What is missing; each run has its job. Finished runs with damaged files are reopened.

        Raises:
            RunError: The weights or the environment cannot be had.
            StoreError: The store cannot be read.
            RequestError: Another process works on a run that is to be reopened.
        """
        planned = plan(self.layout, request, PATIENCE, claims.computing, chunks)
        for run in planned.runs:
            if run.finished and run not in claims.computing and run not in claims.loading:
                self._reopen_damaged(run)
        unstaged = [run for run in planned.runs if run not in claims.computing]
        unstaged = [run for run in unstaged if not run.finished]
        if unstaged:
            try:
                download_weights(request.selection, report_step)
            except WeightsError as error:
                raise RunError(f"not submitted, since its weights are not here: {error}") from error
        for run in unstaged:
            image = self._ensure_environment(request)
            with suppress(RunBusy), lock_run(run):  # who works on it has noted what it uses
                run.write("runtime.json", {"runtime": self.runtime.name, "image": image})
        return planned

    def _reopen_damaged(self, run: Run) -> None:
        """Have a run computed again if its files are damaged, and not only seen late."""
        try:
            await_vectors(run, self._wait)
        except FilesUnseen as error:
            print_now(f"  {error}")
        with lock_run(run):
            reopen_damaged(run)

    def _ensure_environment(self, request: Request) -> str | None:
        family = request.selection.family
        if family.name in self._unbuildable:
            basis = self.runtime.basis
            raise RunError(f"the {basis} of {family.name} could not be made ready, see above")
        if family.name not in self._images:
            try:
                self._images[family.name] = self.runtime.ensure(family, report_step)
            except RunError as error:
                self._unbuildable[family.name] = str(error)
                raise
        return self._images[family.name]
