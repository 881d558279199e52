"""What a runtime is: one way to start a family's worker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ingest.callbacks import Log
from ingest.limits import Limits
from ingest.runtimes.worker import JobPlaces, Worker
from zoo.cards.family import Family


class Runtime(Protocol):
    """One way to start a worker.

    Attributes:
        name: What a user calls it: `--runtime NAME`.
        basis: What a worker is started from, an `environment` or an `image`.
        preference: Where the user names none, the usable runtime with the lowest number is taken.
        confines: Whether the runtime can keep a worker within `Limits.memory` and `Limits.cpus`.
    """

    name: str
    basis: str
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

    def start(
        self, family: Family, jobs: Sequence[JobPlaces], limits: Limits, log: Log
    ) -> AbstractContextManager[Worker]:
        """Start a worker, which is ended when the block ends, or when this process does.

        Args:
            family: The family of the worker.
            jobs: The jobs that the worker may be given, at least one. All ask for the same device.
            limits: What the worker may use.
            log: Shows a line if another process has to be waited for.

        Returns:
            A context manager that yields the worker.

        Raises:
            RunError: If no worker can be started.
        """
