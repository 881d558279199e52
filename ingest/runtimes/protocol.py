"""What a runtime is: one way to start a family's worker."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ingest.callbacks import Log, OnEvent
from ingest.limits import Limits
from zoo.cards.family import Family
from zoo.weights.local import LocalWeights


class Runtime(Protocol):
    """One way to start a worker.

    Attributes:
        name: What a user calls it: `--runtime NAME`.
        preference: Where the user names none, the usable runtime with the lowest number is taken.
        confines: Whether the runtime can keep a worker within `Limits.memory` and `Limits.cpus`.
    """

    name: str
    preference: int
    confines: bool

    def unavailable(self) -> str | None:
        """Return why this machine cannot use the runtime, or None if it can."""

    def lacking(self, family: Family) -> str | None:
        """Return why the family cannot be run, or None if it can.

        Args:
            family: The family to run. What `ensure` would fetch or build unasked is not lacking.

        Returns:
            One clause that says what is missing and what to do; None if nothing is missing.
        """

    def ready(self, family: Family) -> bool:
        """Return whether the family's environment is here and matches its lock.

        Args:
            family: The family of the environment or image.
        """

    def ensure(self, family: Family, log: Log) -> str | None:
        """Make the family's environment ready.

        Args:
            family: The family to make ready.
            log: Shows progress, one line per call.

        Returns:
            The digest or id of its image; None for a runtime without images.

        Raises:
            RunError: If the environment cannot be built or fetched.
        """

    def run(
        self,
        family: Family,
        job: Path,
        out: Path,
        weights: LocalWeights | None,
        on_event: OnEvent,
        limits: Limits,
    ) -> None:
        """Run the worker to its end and pass its events on as they come.

        Args:
            family: The family of the worker.
            job: The folder with `job.json` and `systems.parquet`, which is only read.
            out: The folder that shards, `run.json` and `worker.log` are written to; made if absent.
            weights: Where the files of weights lie that the family's package does not carry, which
                are only read; None if there are none.
            on_event: Is called with each event of the worker.
            limits: What the worker may use.

        Raises:
            RunError: If the worker does not finish; `Killed` and `OutOfMemory` if that is why.
        """
