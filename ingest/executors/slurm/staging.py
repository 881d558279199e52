"""Have what nodes need on the shared file system, before anything is submitted.

Nodes often have no network. So weights are downloaded and verified, and environments are built, on
the machine that submits; a model for which that fails is not submitted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ingest.failures import RunError
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.plan import Plan, plan
from ingest.runs.reporting import report_step
from ingest.runs.request import Request
from ingest.runs.store.waiting import PATIENCE
from ingest.runtimes.protocol import Runtime
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

    def stage(self, request: Request, claimed: Collection[Run] = ()) -> Plan:
        """Find what is missing, and have weights, environment and systems where nodes see them.

        Args:
            request: What is asked for.
            claimed: Runs that live jobs compute, which are left as they are.

        Returns:
            What is missing; each run has its job.

        Raises:
            RunError: The weights or the environment cannot be had.
            StoreError: The store cannot be read.
        """
        planned = plan(self.layout, request, PATIENCE, claimed)
        unstaged = [run for run in planned.runs if run not in claimed and not run.finished]
        if unstaged:
            try:
                download_weights(request.selection, report_step)
            except WeightsError as error:
                raise RunError(f"not submitted, since its weights are not here: {error}") from error
        for run in unstaged:
            image = self._ensure_environment(request)
            run.write("runtime.json", {"runtime": self.runtime.name, "image": image})
        return planned

    def _ensure_environment(self, request: Request) -> str | None:
        family = request.selection.family
        if family.name in self._unbuildable:
            raise RunError(f"the environment of {family.name} could not be made ready, see above")
        if family.name not in self._images:
            try:
                self._images[family.name] = self.runtime.ensure(family, report_step)
            except RunError as error:
                self._unbuildable[family.name] = str(error)
                raise
        return self._images[family.name]
