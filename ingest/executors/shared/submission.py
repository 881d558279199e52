"""The folder of a submission: what was submitted, and what its jobs have noted.

<store>.data/submissions/<submission>/
    submission.json             the engine, the chunks of each task, the device, and how workers are
                                started
    array.sbatch, load.sbatch   Slurm's scripts; either can be submitted again by hand
    jobs.json                   the numbers of Slurm's jobs, once both are submitted
    command.lock                held by the command that has Ray compute, as long as it is at work
    logs/task-<i>.log, logs/load.log, logs/ray.log
    starts/<run id>.json        how often a task has started with a chunk; see `starts`
    outcomes/<run id>.json      what the load job found of a chunk: {"outcome": …, "reason": …}
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ingest.integrity import Damaged, read_json, write_json
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.request import Request
from ingest.users import user_name
from schemas.errors import StoreError
from zoo.command_line import print_now
from zoo.files import LockHeldError, file_lock

LOADED, FAILED, MISSING, UNREADABLE = "loaded", "failed", "missing", "unreadable"
LOAD_SCRIPT = "load.sbatch"  # of every submission to Slurm


@dataclass(frozen=True)
class Submission:
    """What was submitted by one command.

    Attributes:
        layout: The store and the files beside it.
        name: When it was submitted, and four hexadecimal digits by which several at
            once differ.
    """

    layout: Layout
    name: str

    @classmethod
    def new(cls, layout: Layout) -> Submission:
        """Return a submission that has no folder yet.

        Args:
            layout: The store and the files beside it.
        """
        return cls(layout, f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")

    @property
    def folder(self) -> Path:
        """The submission's folder."""
        return self.layout.submissions / self.name

    @property
    def job_name(self) -> str:
        """The name of the array. No other job has it, so that squeue finds it without a number."""
        return f"matterzoo-{self.name}"

    @property
    def load_name(self) -> str:
        """The name of the load job."""
        return f"{self.job_name}-load"

    def write(
        self,
        request: Request,
        tasks: list[list[str]],
        load: Iterable[Run],
        **how: object,
    ) -> None:
        """Write submission.json.

        Args:
            request: One of its requests, all of which have one device.
            tasks: The chunks of each task, as `group` gives them.
            load: The runs that are to be loaded.
            **how: The engine, the command, the runtime, and a worker's longest silence.
        """
        content = how | {
            "user": user_name(),
            "device": request.device,
            "batch": request.batch,
            "tasks": tasks,
            "load": [run.run_id for run in load],
        }
        write_json(self.folder / "submission.json", content)

    @property
    def exists(self) -> bool:
        """Whether there is such a submission, be it damaged."""
        return any((self.folder / name).exists() for name in ("submission.json", LOAD_SCRIPT))

    @cached_property
    def content(self) -> dict[str, Any]:
        """What submission.json holds; Damaged, with what to do, is raised if it cannot be read."""
        removes = f"`matterzoo clean --submissions {self.name}` removes the submission"
        remedy = f"{removes}, and the command that made it submits again what is missing"
        return self._read("submission.json", f"nothing that was computed is lost: {remedy}")

    @property
    def fault(self) -> str | None:
        """What is wrong with submission.json, and what to do; None if it can be read."""
        try:
            self.content  # noqa: B018
        except Damaged as error:
            return str(error)
        return None

    @property
    def engine(self) -> str:
        """The executor that has submitted it: slurm or ray."""
        if self.fault is not None:
            return "slurm" if (self.folder / LOAD_SCRIPT).exists() else "ray"
        return str(self.content.get("engine", "slurm"))

    @property
    def lock(self) -> Path:
        """The lock of the command that stays until the submission is done, where one does."""
        return self.folder / "command.lock"

    @property
    def holder(self) -> str | None:
        """Which command of this machine is at work on it; None if none is."""
        if not self.lock.exists():
            return None
        try:
            with file_lock(self.lock, shared=True, wait=0):
                return None
        except LockHeldError as error:
            return error.holder

    @property
    def user(self) -> str | None:
        """Who submitted it; None if an earlier version of matterzoo did, which did not note it."""
        if self.fault is not None:
            return user_name(self.folder.stat().st_uid)
        return self.content.get("user")

    @property
    def tasks(self) -> list[list[Run]]:
        """The chunks of each task, by the task's number."""
        return [[self.run(run_id) for run_id in task] for task in self.content["tasks"]]

    @property
    def runs(self) -> list[Run]:
        """All chunks that the load job is to load: those of the tasks, and those done before."""
        computed = [run for task in self.tasks for run in task]
        return [self.run(run_id) for run_id in self.content["load"]] + computed

    @property
    def jobs(self) -> dict[str, int]:
        """The numbers of the jobs, `array` and `load`; empty if they were not noted."""
        if not (self.folder / "jobs.json").exists():
            return {}
        noted = self._read("jobs.json", "it has the numbers of the jobs alone: remove it")
        return {name: int(number) for name, number in noted.items()}

    def run(self, run_id: str) -> Run:
        """Return a chunk's run.

        Args:
            run_id: The run's id.
        """
        return Run.of(self.layout, run_id)

    def note_outcome(self, run: Run, outcome: str, reason: str | None = None) -> None:
        """Note what the load job found of a chunk.

        Args:
            run: The chunk.
            outcome: LOADED, FAILED, MISSING or UNREADABLE.
            reason: Why it is not loaded.
        """
        write_json(self._outcome(run), {"outcome": outcome, "reason": reason})

    def outcome(self, run: Run) -> dict[str, Any]:
        """Return what `note_outcome` has noted of a chunk; an empty dict if nothing is noted.

        Args:
            run: The chunk.
        """
        path = self._outcome(run)
        return read_json(path) if path.exists() else {}

    def _outcome(self, run: Run) -> Path:
        return self.folder / "outcomes" / f"{run.run_id}.json"

    def _read(self, name: str, remedy: str) -> dict[str, Any]:
        """Return what a file of the folder holds; raise Damaged with the remedy."""
        try:
            return read_json(self.folder / name)
        except Damaged as error:
            raise Damaged(f"{error}; {remedy}") from error


@contextmanager
def lock_submissions(layout: Layout) -> Iterator[None]:
    """Keep other processes from submitting for a store while the `with` block lasts.

    Args:
        layout: The store and the files beside it.

    Yields:
        Nothing, once no other process submits.
    """
    layout.submissions.mkdir(parents=True, exist_ok=True)
    waiting = "waiting for another command that submits for this store"
    with file_lock(
        layout.submissions / ".lock", on_wait=lambda holder: print_now(f"{waiting}: {holder}")
    ):
        yield


def list_submissions(layout: Layout) -> Iterator[Submission]:
    """Yield the submissions of a store, the oldest first, and damaged ones, too; see `fault`.

    Args:
        layout: The store and the files beside it.
    """
    for folder in sorted(layout.submissions.glob("[!.]*")):
        found = Submission(layout, folder.name)
        if found.exists:
            yield found


def job_names(submissions: Iterable[Submission]) -> list[str]:
    """Return the names of all jobs of some submissions.

    Args:
        submissions: The submissions.
    """
    return [name for each in submissions for name in (each.job_name, each.load_name)]


def find_submission(layout: Layout, name: str) -> Submission:
    """Return a submission of a store.

    Args:
        layout: The store and the files beside it.
        name: The submission's name.

    Raises:
        StoreError: The store has none of that name.
    """
    if Path(name).name != name:
        raise StoreError(
            f"{name!r} is a path; expected the name of a submission: `matterzoo status` lists them"
        )
    found = Submission(layout, name)
    if not found.exists:
        raise StoreError(
            f"{layout.store} has no submission {name!r}; `matterzoo status` lists them"
        )
    return found
