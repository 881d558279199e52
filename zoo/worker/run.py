"""One run from its job to run.json."""

from __future__ import annotations

import platform
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
from zoo.worker.sealed import write_sealed
from zoo.worker.shards import MANIFEST, Counts, Shards
from zoo.worker.signals import Signals

RECORD = "run.json"  # in the folder of the shards; with it the run is finished
LOCK_SECONDS = 30.0  # that a worker waits for an earlier one to leave the folder
PARTS = ("load", "survey", "prepare", "encode", "total")  # of a run, whose seconds are recorded


@dataclass(frozen=True)
class Places:
    """Where a worker reads and writes.

    Attributes:
        job: The folder with job.json and systems.parquet.
        out: The folder for the shards and run.json.
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
            f"{counts.sent} were sent but {counts.done} are done; remove {places.out} and start "
            "again"
        )
    record = _describe_run(job, device) | {
        "weights": loaded,
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "seconds": {part: clock.get(part, 0.0) for part in PARTS},
        "counts": asdict(counts),
        "shards": shards.stamps,
    }
    write_sealed(places.out / RECORD, record)
    (places.out / MANIFEST).unlink(missing_ok=True)
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
