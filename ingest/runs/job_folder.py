"""Write the job of a run: what the worker is given, and the card's rows that travel with it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ingest.integrity import Damaged, check_file
from ingest.layout import Layout
from ingest.runs.chunks.shared import Part, known_stamp
from ingest.runs.errors import RunBusy
from ingest.runs.folder import Run, lock_run
from ingest.runs.request import Request
from zoo.cards.family import Selection
from zoo.worker.job import Job
from zoo.worker.sealed import stamp

ID_DIGITS = 12  # hexadecimal digits of a run's id, which tell apart runs of a model on a dataset


def write_job(
    layout: Layout,
    request: Request,
    representations: Sequence[str],
    part: Part,
    left: Collection[Run] = (),
) -> Run:
    """Write the folder of a run that is to be made, or find it if an earlier start has written it.

    The job of a run that another process works on is left as it is.

    Args:
        layout: The store and the files beside it.
        request: What is asked for.
        representations: Those of the request that the systems lack.
        part: The systems to embed.
        left: Runs whose jobs are left as they are, too.

    Returns:
        The run. Its id is made from all that decides the vectors.

    Raises:
        Damaged: The run has shards, and its systems are damaged.
    """
    deciding = decide(request, representations)
    names = request.selection.model_id, request.dataset.dataset
    run = Run.of(layout, name_run(*names, [deciding, part.systems_hash]))
    with _hold(run, left) as free:
        if free:
            stated = _ensure_systems(part, run)
            _write_facts(run, request, deciding, stated)
    return run


def take_over(
    run: Run, request: Request, representations: Sequence[str], left: Collection[Run] = ()
) -> None:
    """Have a run that has begun go on as the request says, and as today's cards are written.

    The job of a run that another process works on is left as it is.

    Args:
        run: A run with a job and with the systems that the job states.
        request: What is asked for; it may name another device or batch budget than the job.
        representations: Those of the run.
        left: Runs whose jobs are left as they are, too.
    """
    with _hold(run, left) as free:
        if free:
            stated = run.read("job/job.json")["sent"]
            _write_facts(run, request, decide(request, representations), stated)


def set_device(run: Run, device: str, batch: int | None) -> None:
    """Have the job of a run name a device and a batch budget.

    They are no part of the run's id, so another command may have named others meanwhile.

    Args:
        run: A run that this process has locked.
        device: The device.
        batch: The batch budget; None takes the card's.
    """
    job = run.read("job/job.json")
    if (job.get("device"), job.get("batch")) != (device, batch):
        run.write("job/job.json", job | {"device": device, "batch": batch})


def decide(request: Request, representations: Sequence[str]) -> dict[str, Any]:
    """Return what decides the vectors of a run, but for its systems, as fields of its job.

    Args:
        request: What is asked for.
        representations: Those of the run.
    """
    selection = request.selection
    return {
        "family": selection.family.name,
        "model_id": selection.model_id,
        "untrained_seed": selection.untrained_seed,
        "representations": list(representations),
        "dataset": request.dataset.dataset,
        "dtype": request.dtype,
        "seed": 0,
        "card_hash": selection.card_hash,
        "encoder_hash": selection.family.encoder_hash,
        "lock_hash": selection.family.lock_hash,
    }


def name_run(model_id: str, dataset: str, deciding: Any) -> str:
    """Return the id of a run, which is also the name of its folder.

    Args:
        model_id: The model.
        dataset: The dataset's name.
        deciding: All that decides the vectors, as values that JSON has.

    Returns:
        `<model>--<dataset>--<12 hexadecimal digits>`.
    """
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    return f"{_prefix(model_id, dataset)}{digest[:ID_DIGITS]}"


def run_folders(layout: Layout, model_id: str, dataset: str) -> list[Run]:
    """Return the runs whose folders are named like those of a model on a dataset, by name.

    Args:
        layout: The store beside which the runs lie.
        model_id: The model.
        dataset: The dataset's name.
    """
    pattern = _prefix(model_id, dataset) + "?" * ID_DIGITS
    return [Run(folder) for folder in sorted(layout.runs.glob(pattern))]


def model_rows(selection: Selection) -> dict[str, Any]:
    """Return the rows of the tables `models` and `scores` that a card gives.

    Args:
        selection: A model of the zoo, or its untrained twin.

    Returns:
        `{"model": row, "scores": rows}`, the content of a run's model.json.
    """
    model, family, untrained = selection.model, selection.family, selection.untrained
    about = model.provenance
    number = f" {selection.draw}" if selection.draw > 1 else ""
    row = {
        "model_id": selection.model_id,
        "family": family.name,
        "title": model.title + (f" (untrained twin{number})" if untrained else ""),
        "input": model.input,
        "default_representation": model.default_representation,
        "untrained_of": model.id if untrained else None,
        "parameters": model.compute.parameters,
        "architecture": about.architecture,
        "training_sets": [] if untrained else list(about.training_sets),
        "license_code": family.license_code.name,
        "license_weights": "none: drawn at random" if untrained else model.license_weights.name,
        "card": model.model_dump(mode="json"),
        "card_hash": selection.card_hash,
    }
    scores = [] if untrained else [score.model_dump(mode="json") for score in model.score]
    return {"model": row, "scores": scores}


def _prefix(model_id: str, dataset: str) -> str:
    """Return what the names of all runs of a model on a dataset begin with."""
    return re.sub(r"[^A-Za-z0-9.@_-]", "_", f"{model_id}--{dataset}--")


@contextmanager
def _hold(run: Run, left: Collection[Run]) -> Iterator[bool]:
    """Lock a run; yield whether its job is to be written: not if another process works on it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    written = (run.job / "job.json").exists()
    if written and run in left:
        yield False
        return
    with ExitStack() as held:
        try:
            held.enter_context(lock_run(run))
        except RunBusy:
            yield not written  # without a job, the other process is about to write the same
        else:
            yield True


def _write_facts(
    run: Run, request: Request, deciding: dict[str, Any], stated: dict[str, Any]
) -> None:
    """Write the rows of the card and, last, the job."""
    run.write("model.json", model_rows(request.selection))
    facts = deciding | {"representations": tuple(deciding["representations"])}
    Job(
        run_id=run.run_id,
        model=request.selection.model.for_worker(facts["representations"]),
        device=request.device,
        batch=request.batch,
        sent=stated,
        **facts,
    ).write(run.job)


def _ensure_systems(part: Part, run: Run) -> dict[str, Any]:
    """Have the systems in the job's folder, from an earlier start or now; return their stamp."""
    stated = _stated_stamp(run)
    if run.systems.exists():
        try:
            if stated is not None:
                check_file(run.systems, stated)
            return stated or stamp(run.systems)
        except Damaged:  # the dataset is whole, so the file can be made again
            run.systems.unlink()
    part.write(run.systems)
    found = known_stamp(run.systems)
    if stated not in (None, found) and run.shards:
        raise Damaged(
            f"{run.systems} is damaged, and its shards follow its order; "
            f"remove {run.folder} and repeat"
        )
    return found


def _stated_stamp(run: Run) -> dict[str, Any] | None:
    """Return the stamp of the systems that an earlier start of the run has noted, if any has."""
    try:
        found: dict[str, Any] | None = run.read("job/job.json").get("sent")
    except Damaged:  # also if there was no earlier start
        return None
    return found
