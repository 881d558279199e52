"""What an executor is: where runs are started, as every module of this folder offers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.request import Request
from ingest.runtimes.protocol import Runtime


class Executor(Protocol):
    """One place where runs are started. An executor is made for one command and used by it alone.

    Attributes:
        name: The name by which it is chosen.
    """

    name: str

    def __init__(self, layout: Layout, runtime: Runtime, limits: Limits) -> None:
        """Make an executor.

        Args:
            layout: The store that is to hold the vectors.
            runtime: What starts the workers.
            limits: What a worker may use.
        """

    def run(self, requests: Sequence[Request]) -> list[Request]:
        """Bring the store to hold what is asked for. A request that fails does not stop the others.

        Args:
            requests: Requests, each of another model or over another dataset. Their order is the
                user's; those of one family may be run together.

        Returns:
            The requests that failed. Why they did has been reported.
        """
