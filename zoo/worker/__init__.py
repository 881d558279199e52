"""The one program that runs inside every family's environment: a job folder in, shards and run.json out.

    python -m zoo.worker JOB OUT --family FOLDER [--weights FOLDER] [--shared] [--tied] [--device NAME]

Standard library, numpy and pyarrow only; the family's own code is the rest. Events go to standard error as JSON lines.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import re
import resource
import signal
import socket
import stat
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.encoder import ENERGY, SYMBOLS, Encoder, NotApplicable, System, content_hash

JOB_VERSION = 1
WINDOW = 1024  # systems that are sorted by size together, and at most this many in a shard
FLUSH_SECONDS = 60.0  # a slow model writes a shard at least this often, so that little is lost
EVENT_SECONDS = 0.2
LOCK_SECONDS = 30.0  # that an earlier worker gets to end before a second one gives up on its folder
ORPHAN_SECONDS = (
    20.0  # that a worker whose host is gone gets to finish its batch; less than LOCK_SECONDS
)
AT = "at.json"  # in the folder of the shards: what the worker is at
CARE = "care.json"  # beside job.json: what the host has learned from workers that were killed
FULL = (errno.ENOSPC, errno.EDQUOT)
SEAL = "sha256"  # the key of a JSON file's own sum
MANIFEST = "shards.json"  # the stamps of the shards so far; they go into run.json
NEEDS = {
    "structure": ("numbers", "positions"),
    "smiles": ("smiles",),
    "selfies": ("smiles",),  # the encoder translates
    "sequence": ("sequence",),
    "backbone": ("backbone",),
}
STRINGS = ("system_id", "content_hash", "representation", "status", "reason")
COLUMNS = [
    *((name, pa.string()) for name in STRINGS),
    ("vector", pa.list_(pa.float32())),
    (ENERGY, pa.float64()),
]
SHARD = pa.schema(COLUMNS)
WRITE = {"use_dictionary": list(STRINGS[2:]), "write_page_checksum": True}  # how a shard is written


class WorkerError(Exception):
    """The whole run cannot go on; the message is what the host shows."""


class Damaged(WorkerError):
    """A file is not as it was written; the message names it."""


class Stopped(BaseException):
    """A signal asked the worker to end. No Exception, lest an encoder catches it."""


class DiskFull(WorkerError):
    """A disk, or what the user may take of it, is full."""

    def __init__(self, error: OSError, folder: Path) -> None:
        super().__init__(
            f"no space left ({describe(error)}): free space on the disk of {folder}, then repeat; "
            "finished shards are kept, and the same run continues from them"
        )


def sealed(content: Mapping[str, Any]) -> str:
    """The text of a JSON file that carries the SHA-256 of its own content, so that one flipped bit is found.

    `sealed` names the key of that sum: where a bit of that key itself has flipped, its absence tells.
    """
    whole = {**content, "sealed": SEAL}
    return json.dumps(whole | {SEAL: _sum_of(whole)}, indent=1)


def _sum_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """What a sealed JSON file holds, without its seal; files of before there were seals as they are. Raises Damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise Damaged(f"{path} is damaged: it holds no JSON object")
    found = content.pop(SEAL, None)
    if (found is not None or "sealed" in content) and found != _sum_of(content):
        raise Damaged(
            f"{path} is damaged: its content does not have the SHA-256 that it was written with"
        )
    content.pop("sealed", None)
    return content


def stamp(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, by which it is known again."""
    with path.open("rb") as file:
        return {
            "size": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def check_stamp(path: Path, stated: Mapping[str, Any]) -> None:
    """Raise Damaged where a file is not the one that was stamped."""
    if not path.is_file():
        raise Damaged(f"{path} is missing")
    found = stamp(path)
    if found != stated:
        told = [
            f"{facts['size']} bytes with SHA-256 {facts['sha256'][:12]}…"
            for facts in (stated, found)
        ]
        raise Damaged(f"{path} is damaged: expected {told[0]}, found {told[1]}")


class Outcome(NamedTuple):
    """What became of one system in one representation: one row of a shard."""

    system_id: str
    content_hash: str
    representation: str
    status: str  # ok | failed | not_applicable
    reason: str | None
    vector: np.ndarray | None
    energy: float | None = None  # eV, of the system as a whole: the same in every representation


class Prepared(NamedTuple):
    system: System
    item: Any
    size: int


@dataclass(frozen=True)
class Job:
    """job.json and the systems beside it."""

    folder: Path
    run_id: str
    model_id: str
    model: Mapping[str, Any]
    untrained_seed: int | None
    representations: tuple[str, ...]
    device: str
    dtype: str
    batch: int | None
    seed: int
    card_hash: str
    sent: Mapping[str, Any] | None = (
        None  # the stamp of systems.parquet; None: golden vectors, jobs of before
    )

    @classmethod
    def read(cls, folder: Path) -> Job:
        content = {"sent": None} | read_json(folder / "job.json")
        if content.get("job_version") != JOB_VERSION:
            found = content.get("job_version")
            raise WorkerError(
                f"{folder / 'job.json'}: job_version is {found!r}, this worker reads {JOB_VERSION}"
            )
        content["representations"] = tuple(content["representations"])
        job = cls(
            folder=folder,
            **{name: content[name] for name in cls.__dataclass_fields__ if name != "folder"},
        )
        known = [r["name"] for r in job.model["representation"]]
        for name in job.representations:
            if name not in known:
                raise WorkerError(
                    f"{job.model_id} has no representation {name!r}; it has {', '.join(known)}"
                )
        return job

    @property
    def systems(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.folder / "systems.parquet")

    def stream(self) -> Iterator[System]:
        """Every system of the job in order, holding one row group at a time. Raises Damaged."""
        with self.systems as file:
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, use_threads=False).to_batches():
                    yield from (self._whole(to_system(batch, i)) for i in range(batch.num_rows))

    def _whole(self, system: System) -> System:
        """The system, if it is what its hash says."""
        if self.sent is not None and content_hash(system) != system.content_hash:
            path = self.folder / "systems.parquet"
            raise Damaged(
                f"{path} is damaged: {system.system_id} is not what its content_hash says"
            )
        return system

    def check(self) -> None:
        """Raise Damaged where the systems are not those that the host has sent."""
        if self.sent is not None:
            check_stamp(self.folder / "systems.parquet", self.sent)


def to_system(batch: pa.RecordBatch, row: int) -> System:
    cell = {name: batch.column(name)[row] for name in batch.schema.names}
    return System(
        system_id=cell["system_id"].as_py(),
        content_hash=cell["content_hash"].as_py(),
        numbers=to_array(cell["numbers"], np.int64, (-1,)),
        positions=to_array(cell["positions"], np.float64, (-1, 3)),
        cell=to_array(cell["cell"], np.float64, (3, 3)),
        pbc=to_array(cell["pbc"], np.bool_, (3,)),
        backbone=to_array(cell["backbone"], np.float64, (-1, 4, 3)),
        **{name: cell[name].as_py() for name in ("charge", "spin", "smiles", "sequence")},
    )


def to_array(scalar: pa.Scalar, dtype: type, shape: tuple[int, ...]) -> np.ndarray | None:
    """A nested list as one array, without a Python object for each number."""
    if not scalar.is_valid:
        return None
    values = scalar.values
    while pa.types.is_list(values.type):
        values = values.flatten()
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array.astype(dtype).reshape(shape)


def refuse(system: System, model: Mapping[str, Any]) -> tuple[str, str] | None:
    """(status, reason) for a system that the card or plain sense keeps from the encoder; None if it may go on."""
    for name in NEEDS.get(model["input"], ()):
        value = getattr(system, name)
        if value is None or len(value) == 0:
            return "not_applicable", f"has no {name}, and the model's input is {model['input']}"
    if system.numbers is None:
        return None
    if model["elements"] is not None:
        unknown = sorted(set(system.numbers.tolist()) - set(model["elements"]))
        if unknown:
            return "not_applicable", f"the model does not know {', '.join(map(symbol, unknown))}"
    n_atoms = len(system.numbers)
    if model["max_atoms"] is not None and n_atoms > model["max_atoms"]:
        return "not_applicable", f"{n_atoms} atoms; the model takes at most {model['max_atoms']}"
    return find_fault(system, n_atoms)


def find_fault(system: System, n_atoms: int) -> tuple[str, str] | None:
    if system.positions is not None and len(system.positions) != n_atoms:
        return "failed", f"{n_atoms} atomic numbers but {len(system.positions)} positions"
    for name in ("positions", "cell"):
        value = getattr(system, name)
        if value is not None and not np.isfinite(value).all():
            return (
                "failed",
                f"{name} has {np.count_nonzero(~np.isfinite(value))} numbers that are not finite",
            )
    return None


def symbol(number: int) -> str:
    return SYMBOLS[number - 1] if 0 < number <= len(SYMBOLS) else f"atomic number {number}"


def extent(system: System) -> int:
    """Rough size, known before the system is prepared: systems of like size share a batch."""
    for value in (system.numbers, system.sequence, system.backbone, system.smiles):
        if value is not None:
            return len(value)
    return 0


def size_of(system: System) -> str:
    """The size of a system in words: '5,324 atoms'."""
    of = (
        "atoms"
        if system.numbers is not None
        else "residues"
        if system.sequence or system.smiles is None
        else "letters"
    )
    return f"{extent(system):,} {of}"


def to_vector(value: Any, level: str, dimension: int) -> np.ndarray:
    """One float32 vector from what an encoder returned, pooled if it is one of nodes. ValueError: the stored reason."""
    array = np.asarray(value)
    if (
        array.ndim != (2 if level == "node" else 1)
        or array.shape[-1] != dimension
        or 0 in array.shape
    ):
        expected = f"(n_nodes, {dimension})" if level == "node" else f"({dimension},)"
        raise ValueError(
            f"the encoder returned an array of shape {array.shape}, expected {expected}"
        )
    if level == "node":
        array = array.mean(axis=0, dtype=np.float64)
    with np.errstate(over="ignore"):
        vector = array.astype(np.float32) + np.float32(
            0
        )  # -0.0 becomes 0.0, which DuckDB does not tell apart
    bad = np.count_nonzero(~np.isfinite(vector))
    if bad:
        raise ValueError(f"{bad} of the vector's {dimension} numbers are not finite")
    if not vector.any():
        raise ValueError("the vector is all zeros")
    return vector


def describe(error: BaseException) -> str:
    """'ValueError: message' on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500].rstrip(": ")


def is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()


@dataclass
class Counts:
    """System × representation. sent = ok + failed + not_applicable when a run is finished."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    not_applicable: int = 0

    @property
    def done(self) -> int:
        return self.ok + self.failed + self.not_applicable

    def add(self, status: str) -> None:
        setattr(self, status, getattr(self, status) + 1)


def send(event: str, **content: Any) -> None:
    """One JSON line on standard error. The leading newline ends a half line that a package may have left there."""
    sys.stderr.write(
        ("" if event == "progress" else "\n") + json.dumps({"event": event, **content}) + "\n"
    )
    sys.stderr.flush()


class Shards:
    """The shards of one run: those there already, and those written now. A shard appears whole or not at all."""

    def __init__(self, out: Path, job: Job, counts: Counts) -> None:
        self.out, self.job, self.counts = out, job, counts
        self.rows: list[Outcome] = []
        self.next = 0
        self.flushed = time.monotonic()
        self.by_window: dict[int, list[Path]] = {}
        self.stamps: dict[str, dict[str, Any]] = {}
        out.mkdir(parents=True, exist_ok=True)
        for left_over in out.glob(".*.tmp"):
            left_over.unlink()
        known = read_json(out / MANIFEST) if (out / MANIFEST).exists() else {}
        for path in sorted(out.glob("shard-*.parquet")):
            self._recognize(path, known.get(path.name))

    def _recognize(self, path: Path, stated: Mapping[str, Any] | None) -> None:
        """Take over a shard of an earlier start. stated: its stamp, None if that start was killed before noting it."""
        mend = "remove it, and repeat: its systems are computed again"
        try:
            if stated is not None:
                check_stamp(path, stated)
            pq.read_table(path, page_checksum_verification=True)
        except (Damaged, OSError, ValueError) as error:
            raise WorkerError(f"{path} cannot be gone on from ({error}); {mend}") from error
        self.stamps[path.name] = stamp(path)
        metadata = pq.read_schema(path).metadata or {}
        run_id = metadata.get(b"run_id", b"").decode()
        if run_id != self.job.run_id:
            raise WorkerError(
                f"{path} is of run {run_id!r}, not {self.job.run_id!r}; give each run its own folder"
            )
        self.by_window.setdefault(int(metadata[b"window"]), []).append(path)
        self.next = int(path.stem.removeprefix("shard-")) + 1
        for status in pq.read_table(path, columns=["status"])["status"].to_pylist():
            self.counts.add(status)

    def finished(self, window: int) -> set[str]:
        """system_ids of that window that an earlier start of the worker has already finished."""
        paths = self.by_window.get(window, [])
        return {
            s
            for path in paths
            for s in pq.read_table(path, columns=["system_id"])["system_id"].to_pylist()
        }

    def add(self, rows: Sequence[Outcome]) -> None:
        self.rows.extend(rows)
        for row in rows:
            self.counts.add(row.status)

    def flush(self, window: int, *, every: float = 0.0) -> None:
        """Write what has been added, unless the last shard is younger than `every` seconds."""
        if not self.rows or time.monotonic() - self.flushed < every:
            return
        job = self.job
        metadata = {
            "run_id": job.run_id,
            "model_id": job.model_id,
            "card_hash": job.card_hash,
            "window": str(window),
        }
        columns = [list(column) for column in zip(*self.rows, strict=True)]
        table = pa.table(columns, schema=SHARD.with_metadata(metadata))
        path = self.out / f"shard-{self.next:05d}.parquet"
        appear(path, lambda temporary: pq.write_table(table, temporary, **WRITE))
        self.stamps[path.name] = stamp(path)
        appear(self.out / MANIFEST, lambda temporary: temporary.write_text(sealed(self.stamps)))
        self.rows, self.next, self.flushed = [], self.next + 1, time.monotonic()


def appear(path: Path, write: Callable[[Path], Any]) -> None:
    """Write under a temporary name, make sure it is on the disk, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        with suppress(OSError):  # else the next start removes it
            temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Clock(dict[str, float]):
    """Seconds spent in each part of a run."""

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self[part] = self.get(part, 0.0) + time.perf_counter() - start


class Signals:
    """SIGTERM and SIGINT end the run: at once while it loads, later between two batches. A second one ends it at once.

    They are always handled: the first process of a container gets no signal that it does not ask for.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.between_batches = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self.received = number
        signal.signal(number, signal.SIG_DFL)
        if not self.between_batches:
            self.check()

    def check(self) -> None:
        if self.received is not None:
            raise Stopped(signal.Signals(self.received).name)


class At:
    """The file out/at.json: which system is worked on, from which the host knows it if this process is killed.

    It is written in place, which takes microseconds: it has to outlive this process, not the machine.
    """

    def __init__(self, out: Path) -> None:
        self.path, self.longest = out / AT, 0
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def __call__(self, system: System | None, alone: bool, ok: int) -> None:
        """Note a system, None for several; whether no other is held in memory; how many vectors there are so far."""
        about = (
            {"system_id": None}
            if system is None
            else {"system_id": system.system_id, "size": size_of(system)}
        )
        text = json.dumps({**about, "alone": alone, "ok": ok}).encode()
        self.longest = max(self.longest, len(text))
        os.pwrite(self.file, text.ljust(self.longest), 0)

    def end(self) -> None:
        """Remove the file: nothing is worked on any more."""
        os.close(self.file)
        self.path.unlink(missing_ok=True)


class Batcher:
    """Takes windows of systems through the encoder, within the batch budget, and adds every outcome to the shards.

    suspect: a system at which an earlier worker was killed, so its window begins with it, alone. too_large: why others
    are not tried any more.
    """

    def __init__(
        self, job: Job, encoder: Encoder, shards: Shards, clock: Clock, stop: Signals
    ) -> None:
        self.job, self.encoder, self.shards = job, encoder, shards
        self.at = At(shards.out)
        care = read_json(job.folder / CARE) if (job.folder / CARE).exists() else {}
        self.suspect: str | None = care.get("suspect")
        self.too_large: dict[str, str] = care.get("too_large", {})
        self.clock, self.stop, self.reported = clock, stop, 0.0
        self.budget: int = job.batch or job.model["compute"]["batch"]
        self.known = {r["name"]: r for r in job.model["representation"]}
        self.not_finite = 0  # energies

    def run(self) -> None:
        try:
            self._run()
        finally:  # only a worker that is killed leaves the file behind
            self.at.end()

    def _run(self) -> None:
        self.stop.between_batches = True
        stream = self.job.stream()
        windows = iter(lambda: list(islice(stream, WINDOW)), [])
        for number, window in enumerate(windows):
            finished = self.shards.finished(number)
            todo = [s for s in window if s.system_id not in finished]
            todo.sort(key=lambda system: (system.system_id != self.suspect, extent(system)))
            try:
                for batch in self._batches(todo):
                    self._encode(batch)
                    self._report()
                    # What a suspect gives is kept at once, so that a run that is killed again and again gets on.
                    survived = batch[0].system.system_id == self.suspect
                    self.shards.flush(number, every=0.0 if survived else FLUSH_SECONDS)
            finally:  # a run that stops keeps what it has
                self.shards.flush(number)
        if self.not_finite:
            send(
                "warning",
                message=f"{self.not_finite} energies are not finite and are left out; the vectors stay",
            )

    def _report(self) -> None:
        counts = self.shards.counts
        if time.monotonic() - self.reported >= EVENT_SECONDS:
            self.reported = time.monotonic()
            send("progress", done=counts.done, **asdict(counts))

    def _batches(self, systems: Sequence[System]) -> Iterator[list[Prepared]]:
        """Pack prepared systems up to the budget; no more than one batch is prepared at a time."""
        batch: list[Prepared] = []
        for system in systems:
            self.stop.check()
            with self.clock.measure("prepare"):
                prepared = self._prepare(system, alone=not batch)
            if prepared is None:
                continue
            if system.system_id == self.suspect:
                yield [prepared]
                continue
            if batch and sum(p.size for p in batch) + prepared.size > self.budget:
                yield batch
                batch = []
            batch.append(prepared)
        if batch:
            yield batch

    def _prepare(self, system: System, alone: bool) -> Prepared | None:
        refused = refuse(system, self.job.model)
        if system.system_id in self.too_large:
            refused = "failed", self.too_large[system.system_id]
        if refused is None:
            self.at(system, alone, self.shards.counts.ok)
            try:
                item = self.encoder.prepare(system)
                return Prepared(system, item, int(self.encoder.size(item)))
            except NotApplicable as error:
                refused = "not_applicable", " ".join(str(error).split())
            except Exception as error:
                self._refuse_full_disk(error)
                refused = "failed", describe(error)
        self._add(system, *refused)
        return None

    def _encode(self, batch: Sequence[Prepared]) -> None:
        """Encode a batch; if it fails, its halves, down to the guilty system."""
        alone = len(batch) == 1
        self.at(batch[0].system if alone else None, alone, self.shards.counts.ok)
        names = list(self.job.representations)
        try:
            with self.clock.measure("encode"):
                vectors = self.encoder.encode([p.item for p in batch], names)
        except Exception as error:
            self._explain(batch, error)
        else:
            self._keep(batch, vectors)
            return
        # outside the except block, so that the failed attempt's memory is free
        self.stop.check()
        if len(batch) > 1:
            middle = len(batch) // 2
            self._encode(batch[:middle])
            self._encode(batch[middle:])

    def _explain(self, batch: Sequence[Prepared], error: Exception) -> None:
        """Put a failure down to the system if the batch holds but one; out of memory halves the budget."""
        self._refuse_full_disk(error)
        memory = is_out_of_memory(error)
        if "CUDA error" in str(error) and not memory:
            ids = ", ".join(p.system.system_id for p in batch[:3])
            raise WorkerError(
                f"the GPU can no longer be used, from a batch that begins with {ids}: {describe(error)}"
            )
        if memory and "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()
        if len(batch) == 1 and isinstance(error, NotApplicable):
            self._add(batch[0].system, "not_applicable", " ".join(str(error).split()))
        elif len(batch) == 1:
            self._add(batch[0].system, "failed", describe(error))
        elif memory:
            self.budget = max(1, min(self.budget, sum(p.size for p in batch) // 2))
            send("warning", message=f"out of memory; the batch budget is now {self.budget}")

    def _refuse_full_disk(self, error: Exception) -> None:
        """A disk that is full is no fault of the system: stored as its failure, it would stay."""
        if isinstance(error, OSError) and error.errno in FULL:
            raise DiskFull(error, Path(error.filename or self.shards.out)) from error

    def _keep(self, batch: Sequence[Prepared], vectors: Mapping[str, Sequence[Any]]) -> None:
        for name in self.job.representations:
            found = len(vectors.get(name, ()))
            if found != len(batch):
                what = f"{found} vectors of {name!r} for {len(batch)} systems"
                raise WorkerError(f"encode() returned {what}: a fault of the family's encoder")
        energies = self._energies(len(batch), vectors)
        for i, prepared in enumerate(batch):
            rows = [
                self._outcome(prepared.system, n, vectors[n][i]) for n in self.job.representations
            ]
            self.shards.add([row._replace(energy=energies[i]) for row in rows])

    def _energies(self, count: int, found: Mapping[str, Sequence[Any]]) -> list[float | None]:
        """Of each system of a batch, in eV; None where the card promises none, or it is not finite."""
        if self.job.model.get(ENERGY) is None:
            return [None] * count
        energies = np.asarray(found.get(ENERGY, ()), dtype=np.float64)
        if energies.shape != (count,):
            what = f"energies of shape {energies.shape} for {count} systems"
            raise WorkerError(f"encode() returned {what}: a fault of the family's encoder")
        finite = np.isfinite(energies)
        self.not_finite += int(np.count_nonzero(~finite))
        return [
            float(energy) if good else None for energy, good in zip(energies, finite, strict=True)
        ]

    def _outcome(self, system: System, name: str, value: Any) -> Outcome:
        card = self.known[name]
        try:
            vector = to_vector(value, card["level"], card["dimension"])
        except ValueError as fault:
            return Outcome(system.system_id, system.content_hash, name, "failed", str(fault), None)
        return Outcome(system.system_id, system.content_hash, name, "ok", None, vector)

    def _add(self, system: System, status: str, reason: str) -> None:
        """Note a system that has no vector, in every representation."""
        names = self.job.representations
        self.shards.add(
            [Outcome(system.system_id, system.content_hash, n, status, reason, None) for n in names]
        )


def refuse_network() -> None:
    """Make every attempt to reach a network an error that says so; nothing in a run needs one."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            target = args[1] if args[0].family in (socket.AF_INET, socket.AF_INET6) else None
        else:
            target = args[0] if event == "socket.getaddrinfo" else None
        if target is not None:
            raise ConnectionRefusedError(
                f"a run has no network, but something tried to reach {target!r}"
            )

    sys.addaudithook(hook)


def check_device(device: str, asked: str) -> None:
    """Raise unless the device is there: asking for a GPU never ends on a CPU. asked: what the job calls it."""
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise WorkerError(f"device {device!r} is not one of cpu, cuda, cuda:0, cuda:1, …")
    if device == "cpu":
        return
    wish = f"device {asked!r} was asked for"
    if importlib.util.find_spec("torch") is None:
        raise WorkerError(f"{wish}, but this family computes without torch, on the CPU only")
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        raise WorkerError(
            f"{wish}, but torch {torch.__version__} is a build for the CPU only; make the family's image again with a "
            "CUDA build (`make build FAMILY=… TORCH=cu126`), or its environment (`python -m ingest clean --env …`, "
            "then MATTERZOO_TORCH_BACKEND=cu126)"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        raise WorkerError(f"{wish}, but torch finds {count} GPUs; try nvidia-smi")


def find_weights(job: Job, given: Path | None) -> Path:
    """The folder of the files that the card names: site-packages, or the one that the host has verified and given."""
    if job.model["weights"]["source"] == "package":
        return Path(sysconfig.get_paths()["purelib"])
    return given or job.folder  # of a model without files


def others_can_change(path: Path) -> bool:
    """Return whether another user than this one and root could put another content in a file's place.

    They can if they own it or a folder above it, or may write to one; in a sticky folder, such as /tmp, only owners
    replace what is theirs.
    """
    path = path.absolute()
    for place in {path, *path.parents, path.resolve(), *path.resolve().parents}:
        status = place.stat()
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or (writable and not sticky):
            return True
    return False


def check_weights(job: Job, folder: Path, shared: bool = False) -> dict[str, str]:
    """{path: sha256} of the files that are loaded. Raises if one is not what the card says.

    What the family's package carries is read and hashed here. Other files the host has hashed. They are hashed again
    if others can change them, as here the content decides what code runs; else their size is looked at. shared: the
    host says that others can, as a container does not see the folders above the one that is mounted.
    """
    found = {}
    for file in job.model["weights"]["files"]:
        if job.untrained_seed is not None and not file["twin"]:
            continue
        path = folder / file["path"]
        if file["sha256"] is None:
            raise WorkerError(
                f"weights {path} are not pinned; `make pin MODEL={job.model['id']}` pins them"
            )
        if not path.is_file():
            mend = "install the environment of the family again, or see `make weights`"
            raise WorkerError(f"weights {path} are not there; {mend}")
        size, sha256 = path.stat().st_size, file["sha256"]
        if job.model["weights"]["source"] == "package" or shared or others_can_change(path):
            with path.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        if (size, sha256) != (file["size"], file["sha256"]):
            expected = f"{file['size']} bytes with sha256 {file['sha256']}"
            raise WorkerError(
                f"weights {path}: expected {expected}, found {size} bytes with {sha256}"
            )
        found[file["path"]] = sha256
    return found


def seed_everything(seed: int) -> None:
    """Seed every generator that is there; torch is not imported for families that do without it."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def load_encoder(folder: Path, job: Job, device: str, weights: Path) -> Encoder:
    """Construct the FamilyEncoder of a family's folder. Raises WorkerError if there is none or it cannot load."""
    card = {**job.model, "weights": {**job.model["weights"], "folder": str(weights)}}
    spec = importlib.util.spec_from_file_location("family_encoder", folder / "encoder.py")
    if spec is None or spec.loader is None or not (folder / "encoder.py").is_file():
        raise WorkerError(f"{folder} holds no encoder.py")
    module = sys.modules["family_encoder"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        seed_everything(job.seed)  # after the imports, so that torch is there if the family uses it
        encoder = module.FamilyEncoder(
            card, device=device, dtype=job.dtype, untrained_seed=job.untrained_seed
        )
    except Exception as error:
        traceback.print_exc()
        raise WorkerError(f"{job.model_id} could not be loaded: {describe(error)}") from error
    if not isinstance(encoder, Encoder):
        raise WorkerError(f"{folder / 'encoder.py'}: FamilyEncoder is not an Encoder")
    return encoder


def survey(encoder: Encoder, job: Job) -> None:
    """Show the encoder every system that it may be given, if it cares."""

    def applicable() -> Iterator[System]:
        for system in job.stream():
            if refuse(system, job.model) is None:
                yield system

    if type(encoder).survey is not Encoder.survey:
        encoder.survey(applicable())


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the folder: two workers never write to the same one. The lock ends with the process, however it ends."""
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + LOCK_SECONDS
    with (out / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    waited = f"is still at work after {LOCK_SECONDS:.0f} s"
                    raise WorkerError(
                        f"another worker writes to {out} and {waited}; wait for it, or end it"
                    ) from None
                time.sleep(0.1)
        yield


def work(
    job: Job,
    out: Path,
    family: Path,
    weights: Path | None,
    device: str,
    stop: Signals,
    shared: bool,
) -> None:
    """Do the whole job, or what an earlier start has left, and write run.json.

    device: the job's, by its name here. shared: others than this user can change the files of weights.
    """
    try:
        with alone(out):
            _work(job, out, family, find_weights(job, weights), device, stop, shared)
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(error, out) from error
        raise


def _work(
    job: Job, out: Path, family: Path, weights: Path, device: str, stop: Signals, shared: bool
) -> None:
    started, clock, counts = datetime.now(UTC), Clock(), Counts()
    with clock.measure("total"):
        refuse_network()
        check_device(device, job.device)
        job.check()
        with job.systems as systems:
            counts.sent = systems.metadata.num_rows * len(job.representations)
        shards = Shards(out, job, counts)
        send("start", sent=counts.sent, done=counts.done)
        with clock.measure("load"):
            loaded = check_weights(job, weights, shared)
            encoder = load_encoder(family, job, device, weights)
            seed_everything(job.seed)
        with clock.measure("survey"):
            survey(encoder, job)
        Batcher(job, encoder, shards, clock, stop).run()
    if counts.sent != counts.done:
        raise WorkerError(
            f"{counts.sent} were sent but {counts.done} are done; remove {out} and start again"
        )
    record = describe_run(job, device) | {
        "weights": loaded,
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "seconds": {
            part: clock.get(part, 0.0) for part in ("load", "survey", "prepare", "encode", "total")
        },
        "counts": asdict(counts),
        "shards": shards.stamps,
    }
    appear(out / "run.json", lambda temporary: temporary.write_text(sealed(record)))
    (out / MANIFEST).unlink(missing_ok=True)
    send("finish", counts=asdict(counts))


def describe_run(job: Job, device: str) -> dict[str, Any]:
    """What was run, and on what."""
    return {
        "run_id": job.run_id,
        "model_id": job.model_id,
        "status": "ok",
        "device": job.device,
        "device_name": cpu_name(),
        "driver": None,
        "dtype": job.dtype,
        "python": platform.python_version(),
        "versions": versions(),
        "peak_memory_bytes": peak_memory(),
    } | (describe_gpu(device) if device != "cpu" else {})


def peak_memory() -> int:
    """Bytes. Linux hands ru_maxrss on from the process that started this one, so its other account is read there."""
    status = Path("/proc/self/status")
    found = (
        re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        if status.exists()
        else None
    )
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def versions() -> dict[str, str]:
    """Version of every distribution; of one that is there twice, the first that is found, as when it is imported."""
    found: dict[str, tuple[str, str]] = {}
    for distribution in importlib.metadata.distributions():
        if name := distribution.name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), (name, distribution.version))
    return dict(sorted(found.values()))


def describe_gpu(device: str) -> dict[str, Any]:
    import torch

    version = Path("/proc/driver/nvidia/version")
    driver = re.search(r"\d+\.\d+(\.\d+)?", version.read_text()) if version.exists() else None
    return {
        "device_name": torch.cuda.get_device_name(device),
        "driver": driver[0] if driver else None,
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    name = (
        re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if info.exists()
        else None
    )
    return name[1] if name else platform.processor() or platform.machine()


def tie(stop: Signals) -> None:
    """End as by SIGTERM when standard input ends: whoever started this process holds it open, and is gone then.

    One that has been asked to end already is left to it: a second signal would end it before it has written.
    """

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        if stop.received is None:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)  # it hangs, and nobody is left to notice

    threading.Thread(target=wait, name="tie", daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m zoo.worker", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("job", type=Path, help="folder with job.json and systems.parquet")
    parser.add_argument("out", type=Path, help="folder for the shards and run.json")
    parser.add_argument(
        "--family", type=Path, required=True, help="the family's folder, with encoder.py"
    )
    parser.add_argument(
        "--weights", type=Path, help="the folder with the model's files, verified by the host"
    )
    parser.add_argument(
        "--shared",
        action="store_true",
        help="others can change the files of weights: hash them again",
    )
    parser.add_argument(
        "--tied", action="store_true", help="end, as by SIGTERM, when standard input ends"
    )
    parser.add_argument(
        "--device", help="what the job's device is called in here (default: as in the job)"
    )
    options = parser.parse_args(arguments)
    try:
        stop = Signals()
        if options.tied:
            tie(stop)
        job = Job.read(options.job)
        work(
            job,
            options.out,
            options.family,
            options.weights,
            options.device or job.device,
            stop,
            options.shared,
        )
    except (Stopped, KeyboardInterrupt) as stopped:
        name = str(stopped) or "SIGINT"
        send(
            "error",
            message=f"stopped by {name}; finished shards are kept, and the same run continues from them",
        )
        return 128 + signal.Signals[name]
    except WorkerError as error:
        send("error", message=" ".join(str(error).split()))
        return 1
    except Exception as error:
        traceback.print_exc()
        send("error", message=describe(error))
        return 1
    return 0
