"""Decide what to do after a worker was killed: a smaller batch budget, or one system less."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.parquet as pq

from ingest.failures import Killed, OutOfMemory, RunError
from ingest.integrity import read_json
from ingest.limits import Limits
from ingest.runs.folder import Run
from zoo.worker.events import ADVICE_FILE, CURRENT_FILE

MORE_MEMORY = (
    "The batch budget is 1 already. More memory may help (--memory, a larger machine), or fewer "
    "systems (--limit) if one of them is too large"
)


@dataclass
class Lessons:
    """What is known of a run after its workers were killed.

    It lies in job/advice.json, which the worker reads when it starts.

    Attributes:
        suspect: The system that a worker embedded alone when it was killed; the next worker
            begins with it.
        too_large: Why a system is not tried again, by its id.
        ok: How many vectors a killed worker had made.
        memory: The limit under which all of this was found, in bytes.
    """

    suspect: str | None = None
    too_large: dict[str, str] = field(default_factory=dict)
    ok: int = 0
    memory: int | None = None

    @classmethod
    def of(cls, run: Run, limits: Limits) -> Lessons:
        """Return what is known of a run; what was found under another memory limit is removed.

        Args:
            run: The run.
            limits: What its next worker may use.
        """
        path = run.job / ADVICE_FILE
        if path.exists():
            found = read_json(path)
            lessons = cls(**{name: found[name] for name in cls.__dataclass_fields__})
            if lessons.memory == limits.memory:
                return lessons
            path.unlink()
        return cls(memory=limits.memory)


@dataclass(frozen=True)
class _Moment:
    """What a worker did when it ended, as far as it is known.

    Attributes:
        system_id: The system it had begun with, if it had begun.
        alone: Whether it embedded that system alone.
        ok: How many vectors it had made.
        size: The size of that system, in words.
    """

    system_id: str | None = None
    alone: bool = False
    ok: int = 0
    size: str = ""

    @classmethod
    def of(cls, run: Run) -> _Moment:
        try:
            found = json.loads((run.out / CURRENT_FILE).read_bytes())
        except (OSError, ValueError):
            return cls()
        if not isinstance(found, dict):
            return cls()
        known = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
        return cls(**known)


def recover(run: Run, limits: Limits, killed: Killed) -> str:
    """Change a run so that its next worker gets further.

    A system counts as too large only if a second, new worker that begins with it is killed as
    well, and others could be embedded: a worker that is killed in the middle of many systems may
    have met a shortage that has nothing to do with them.

    Args:
        run: A run after its worker was killed.
        limits: What its workers may use.
        killed: How the worker ended.

    Returns:
        What was changed, as a line to report.

    Raises:
        RunError: Nothing would help.
    """
    lessons, moment = Lessons.of(run, limits), _Moment.of(run)
    lessons.ok = max(lessons.ok, moment.ok)
    budget = None if moment.alone else _halve_budget(run)
    if budget is not None:
        done = _describe_halving(killed, budget)
    elif moment.system_id is None or _is_hopeless(run, lessons, moment):
        out_of_memory = isinstance(killed, OutOfMemory)
        raise RunError(f"{killed}\n{MORE_MEMORY}") if out_of_memory else killed
    elif moment.system_id != lessons.suspect:
        lessons.suspect = moment.system_id
        done = (
            f"the worker was killed at {moment.system_id} ({moment.size}): "
            "beginning with it in a new one"
        )
    else:
        lessons.suspect = None
        lessons.too_large[moment.system_id] = _explain(run, moment.size)
        done = (
            f"a second worker was killed at {moment.system_id} ({moment.size}): "
            "it is recorded as failed"
        )
    run.write(f"job/{ADVICE_FILE}", asdict(lessons))
    return done


def _is_hopeless(run: Run, lessons: Lessons, moment: _Moment) -> bool:
    """Return whether the suspect is one of several systems, and none of them could be embedded."""
    systems = pq.read_metadata(run.systems).num_rows
    return moment.system_id == lessons.suspect and lessons.ok == 0 and systems > 1


def _halve_budget(run: Run) -> int | None:
    """Halve the batch budget of a run's job; return the new one, or None if it is 1 already."""
    job = run.read("job/job.json")
    budget: int = job["batch"] or job["model"]["compute"]["batch"]
    if budget == 1:
        return None
    run.write("job/job.json", job | {"batch": budget // 2})
    return budget // 2


def _describe_halving(killed: Killed, budget: int) -> str:
    why = "the worker was killed from outside, maybe for its memory"
    if isinstance(killed, OutOfMemory):
        why = "memory ran out"
    return f"{why}: continuing from the finished shards with half the batch budget, {budget}"


def _explain(run: Run, size: str) -> str:
    """Return the reason that is stored for a system that is too large."""
    job: dict[str, Any] = run.read("job/job.json")
    again = f"matterzoo clean {job['model_id']} {job['dataset']}"
    return (
        f"the worker was killed twice while it embedded this system alone ({size}): it needs more "
        f"memory than there is. With more, `{again}` and embed it again"
    )
