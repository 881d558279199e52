"""What an executor is: where runs are started, as every module of this folder offers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.request import Request, Settings
from ingest.runtimes.protocol import Runtime


@dataclass(frozen=True)
class Where:
    """Where runs are to be started. The fields are named as the options of `matterzoo ingest`.

    Attributes:
        on: The executor's name. What follows is for those that take it.
        partition: The partition of the jobs; None takes the cluster's default.
        account: Whom the jobs are charged to; None takes the user's default.
        time: How long a task may take, such as 30m, 4h, 2d or 1-12:00:00; None: the partition's.
        at_once: How many tasks may run at the same time; None sets no limit.
        per_task: How many chunks a task computes; None goes by how long they take.
        sbatch: Further long options of sbatch, separated as by a shell.
        address: Where Ray is; None takes RAY_ADDRESS, or starts one on this machine.
    """

    on: str = "local"
    partition: str | None = None
    account: str | None = None
    time: str | None = None
    at_once: int | None = None
    per_task: int | None = None
    sbatch: str | None = None
    address: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """The options of the command line, and their values, that differ from the defaults."""
        return {
            f"--{field.name.replace('_', '-')}": str(getattr(self, field.name))
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


class Executor(Protocol):
    """One place where runs are started. An executor is made for one command and used by it alone.

    Attributes:
        name: The name by which it is chosen.
        runtimes: The names of the runtimes that can start workers there, the first one by default;
            empty: all of them.
        schedules: Whether the command only submits, and a job loads what others compute.
        takes: Which options of `Where` it takes; none: it starts workers from this process.
        reserves: Whether --cpus and --memory are what it reserves for a task, whatever the runtime.
    """

    name: str
    runtimes: tuple[str, ...]
    schedules: bool
    takes: tuple[str, ...]
    reserves: bool

    def __init__(self, layout: Layout, runtime: Runtime, limits: Limits, where: Where) -> None:
        """Make an executor.

        Args:
            layout: The store that is to hold the vectors.
            runtime: What starts the workers.
            limits: What a worker may use.
            where: Its options.
        """

    @staticmethod
    def check(where: Where, settings: Settings) -> None:
        """Refuse options that it cannot take, before anything is made ready.

        Args:
            where: Its options.
            settings: How the models are to be run.

        Raises:
            RequestError: An option is not what it has to be.
        """

    def run(self, requests: Sequence[Request], command: str = "") -> list[Request]:
        """Bring the store to hold what is asked for. A request that fails does not stop the others.

        Args:
            requests: Requests, each of another model or over another dataset. Their order is the
                user's; those of one family may be run together.
            command: The command that asks for the same again, for what is reported later.

        Returns:
            The requests that failed. Why they did has been reported.
        """
