"""What to do about a worker that was killed: a smaller batch budget, or one system less."""

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
    "The batch budget is 1 already. More memory may help (MEMORY=, a larger machine), or fewer systems (LIMIT=) where "
    "one of them is too large"
)


@dataclass
class Care:
    """What is known of a run whose worker was killed, in job/advice.json, which the worker reads when it starts.

    suspect: the system that was worked on alone when a worker was killed; the next one begins with it. too_large: why
    a system is not tried again, by its id. ok: how many vectors a killed worker had. memory: the limit of all these.
    """

    suspect: str | None = None
    too_large: dict[str, str] = field(default_factory=dict)
    ok: int = 0
    memory: int | None = None

    @classmethod
    def of(cls, run: Run, limits: Limits) -> Care:
        """Return what is known; nothing where other limits of memory held."""
        path = run.job / ADVICE_FILE
        if path.exists():
            found = read_json(path)
            care = cls(**{name: found[name] for name in cls.__dataclass_fields__})
            if care.memory == limits.memory:
                return care
            path.unlink()
        return cls(memory=limits.memory)


def relieve(run: Run, limits: Limits, killed: Killed) -> str:
    """Change a run so that its next worker gets further. Returns what was changed; raises RunError if nothing helps.

    A system is put down as too large only if a second, new worker that begins with it is killed as well, and others
    could be embedded: one that is killed in the middle of many may have met a shortage that is not of its making.
    """
    care, at = Care.of(run, limits), _at(run)
    care.ok = max(care.ok, at["ok"])
    starved = isinstance(killed, OutOfMemory)
    if not at["alone"] and (budget := _halve(run)) is not None:
        why = (
            "memory ran out"
            if starved
            else "the worker was killed from outside, maybe for its memory"
        )
        done = f"{why}: going on from the finished shards with half the batch budget, {budget}"
    elif at["system_id"] is None or (
        at["system_id"] == care.suspect and care.ok == 0 and _systems(run) > 1
    ):
        raise RunError(f"{killed}\n{MORE_MEMORY}") if starved else killed
    elif at["system_id"] != care.suspect:
        care.suspect = at["system_id"]
        done = f"the worker was killed at {care.suspect} ({at['size']}): beginning with it in a new one"
    else:
        care.suspect = None
        care.too_large[at["system_id"]] = _reason(run, at["size"])
        done = f"a second worker was killed at {at['system_id']} ({at['size']}): it is put down as failed"
    run.write(f"job/{ADVICE_FILE}", asdict(care))
    return done


def _systems(run: Run) -> int:
    return int(pq.read_metadata(run.systems).num_rows)


def _reason(run: Run, size: str) -> str:
    job = run.read("job/job.json")
    again = f"make clean MODEL={job['model_id']} DATASET={job['dataset']}"
    return (
        f"the worker was killed twice while it embedded this system alone ({size}): it needs more memory than there "
        f"is. With more, `{again}` and embed it again"
    )


def _at(run: Run) -> dict[str, Any]:
    """What the worker was at when it ended, as far as that is known."""
    nothing = {"system_id": None, "alone": False, "ok": 0, "size": ""}
    try:
        found = json.loads((run.out / CURRENT_FILE).read_bytes())
    except (OSError, ValueError):
        return nothing
    return nothing | found if isinstance(found, dict) else nothing


def _halve(run: Run) -> int | None:
    """Halve the batch budget of a run's job, not below 1. Returns the new one, None where it is 1 already."""
    job = run.read("job/job.json")
    budget: int = job["batch"] or job["model"]["compute"]["batch"]
    if budget == 1:
        return None
    run.write("job/job.json", job | {"batch": budget // 2})
    return budget // 2
