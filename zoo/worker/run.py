"""One run from its job to run.json.

When all systems are done, the shards are merged, run.json is written with the stamps of what came
of them, and then the shards are removed. A worker that finds run.json has nothing left to do but
that.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo.files import LockHeldError, file_lock, is_disk_full
from zoo.worker.batching import Batcher, Clock
from zoo.worker.device import (
    check_device,
    check_dtype,
    describe_device,
    package_versions,
    peak_memory,
    reset_peak_memory,
)
from zoo.worker.errors import DiskFullError, WorkerError
from zoo.worker.events import Advice, send_event
from zoo.worker.job import SYSTEMS_FILE, Job, JobSystems
from zoo.worker.loading import (
    check_weights,
    find_weights,
    load_encoder,
    refuse_network,
    seed_everything,
    show_systems,
)
from zoo.worker.merge import merge_shards
from zoo.worker.sealed import read_sealed, stamp, write_sealed
from zoo.worker.shards import Counts, Shards, remove_shards
from zoo.worker.signals import Signals
from zoo.worker.vector_files import VectorFiles

RECORD = "run.json"  # beside the vector files; with it the run is finished
LOCK_SECONDS = 30.0  # that a worker waits for an earlier one to leave the folder
MERGE_EVENT_SECONDS = 1.0  # between two signs of life while shards are merged
# Parts of a run, whose seconds are recorded.
PARTS = ("load", "survey", "prepare", "encode", "merge", "total")


@dataclass(frozen=True)
class Places:
    """Where a worker reads and writes.

    Attributes:
        job: The folder with job.json and systems.parquet.
        out: The folder for what is written.
        family: The family's folder, with encoder.py.
        weights: The folder of the model's files, if the host has given one.
        shared: Whether others than this user can change the files of weights.
    """

    job: Path
    out: Path
    family: Path
    weights: Path | None = None
    shared: bool = False


def run_job(job: Job, places: Places, device: str, stop: Signals) -> None:
    """Do the whole job, or what an earlier start has left, and write run.json.

    Args:
        job: The job that was read from `places.job`.
        places: Where to read and write.
        device: The job's device, as it is called in this process.
        stop: What notes signals.

    Raises:
        WorkerError: The run cannot go on. Finished shards are kept.
        Stopped: A signal asked the worker to end.
    """
    try:
        with _hold(places.out):
            _run_job(job, places, device, stop)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(error, places.out) from error
        raise


@contextmanager
def _hold(out: Path) -> Iterator[None]:
    """Keep two workers from writing to the same folder."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with file_lock(out / ".lock", wait=LOCK_SECONDS):
            yield
    except LockHeldError as error:
        raise WorkerError(
            f"another worker writes to {out} and is still at work after {LOCK_SECONDS:.0f} s; "
            "wait for it, or end it"
        ) from error


def _run_job(job: Job, places: Places, device: str, stop: Signals) -> None:
    if (places.out / RECORD).exists():
        _end_again(job, places.out)
        return
    started, clock = datetime.now(UTC), Clock()
    reset_peak_memory()
    systems = JobSystems(places.job / SYSTEMS_FILE, job.sent)
    with clock.measure("total"):
        refuse_network()
        check_device(device, job.device)
        check_dtype(job)
        systems.check()
        counts = Counts(sent=len(systems) * len(job.representations))
        shards = Shards(places.out, job, counts)
        send_event("start", sent=counts.sent, done=counts.done)
        weights = find_weights(job, places.weights, otherwise=places.job)
        with clock.measure("load"):
            loaded = check_weights(job, weights, places.shared)
            encoder = load_encoder(places.family, job, device, weights)
            seed_everything(job.seed)
        with clock.measure("survey"):
            show_systems(encoder, job, systems)
        Batcher(job, encoder, shards, clock, stop, Advice.read(places.job)).run(systems)
        if counts.sent != counts.done:
            raise WorkerError(
                f"{counts.sent} were sent but {counts.done} are done; remove {places.out} and "
                "start again"
            )
        del encoder  # its memory is of use now
        with clock.measure("merge"):
            merged = _merge(job, shards, stop)
    record = _describe_run(job, device) | {
        "weights": loaded,
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "seconds": {part: clock.get(part, 0.0) for part in PARTS},
        "counts": asdict(counts),
    }
    write_sealed(places.out / RECORD, record | merged)
    remove_shards(places.out)
    send_event("finish", counts=asdict(counts))


def _merge(job: Job, shards: Shards, stop: Signals) -> dict[str, Any]:
    """Merge the shards; return what the record says of the files that came of them."""
    counts, reported = shards.counts, time.monotonic()

    def check() -> None:
        nonlocal reported
        stop.check()
        if time.monotonic() - reported >= MERGE_EVENT_SECONDS:
            reported = time.monotonic()
            send_event("progress", done=counts.done, **asdict(counts))

    shards.check()  # the first of them may be hours old
    files = VectorFiles(shards.out, job.run_id, job.model_id, job.card_hash)
    lengths = {r["name"]: r["dimension"] for r in job.model["representation"]}
    asked_for = {name: lengths[name] for name in job.representations}
    outcomes = merge_shards(shards.paths, files, asked_for, check)
    return {"vectors": files.entries, "outcomes": stamp(outcomes)}


def _end_again(job: Job, out: Path) -> None:
    """Do what a worker that was killed after it had written the record has left to do."""
    record = read_sealed(out / RECORD)
    if record.get("run_id") != job.run_id:
        raise WorkerError(
            f"{out / RECORD} is of run {record.get('run_id')!r}, not {job.run_id!r}; give each run "
            "its own folder"
        )
    counts = Counts(**record["counts"])
    send_event("start", sent=counts.sent, done=counts.done)
    if "vectors" in record:  # else an early version wrote it, which left vectors in the shards
        remove_shards(out)
    send_event("finish", counts=asdict(counts))


def _describe_run(job: Job, device: str) -> dict[str, Any]:
    """Return what was run, and on what."""
    return {
        "run_id": job.run_id,
        "model_id": job.model_id,
        "status": "ok",
        "device": job.device,
        **describe_device(device),
        "dtype": job.dtype,
        "python": platform.python_version(),
        "versions": package_versions(),
        "peak_memory_bytes": peak_memory(),
    }
