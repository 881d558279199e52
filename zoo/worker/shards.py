"""The shards of a run: Parquet files with one row per system and representation.

They hold what is done until all is done; then `zoo.worker.merge` makes vector files of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.files import write_atomically
from zoo.worker.errors import DamagedFileError, WorkerError
from zoo.worker.job import Job
from zoo.worker.sealed import check_stamp, read_sealed, stamp, write_sealed
from zoo.worker.tables import SHARD, SHARD_OPTIONS

MANIFEST = "shards.json"  # the stamps of the shards so far; at the end they go into run.json
HELD_BYTES = 64_000_000  # of vectors that wait for their shard: nodes of 1024 proteins are many GB


class Outcome(NamedTuple):
    """What became of one system in one representation: one row of a shard, as in SHARD.

    The vectors of nodes stand one after another in `vector`.
    """

    system_id: str
    content_hash: str
    representation: str
    status: str
    reason: str | None
    vector: np.ndarray | None
    energy: float | None = None


@dataclass
class Counts:
    """Numbers of rows. When a run is finished, sent = ok + failed + not_applicable.

    Attributes:
        sent: Systems that the host has sent, times representations.
        ok: Rows with a vector.
        failed: Rows of systems that no vector could be computed of.
        not_applicable: Rows of systems that the model cannot take by its nature.
    """

    sent: int = 0
    ok: int = 0
    failed: int = 0
    not_applicable: int = 0

    @property
    def done(self) -> int:
        """Rows of whatever status."""
        return self.ok + self.failed + self.not_applicable

    def add(self, status: str) -> None:
        """Count a row.

        Args:
            status: 'ok', 'failed' or 'not_applicable'.
        """
        setattr(self, status, getattr(self, status) + 1)


def find_shards(out: Path) -> list[Path]:
    """Return the shards of a folder, in the order in which they were written.

    Args:
        out: The folder.
    """
    return sorted(out.glob("shard-*.parquet"))


def remove_shards(out: Path) -> None:
    """Remove the shards of a run that is done: other files hold what they held.

    Args:
        out: The folder of the shards.
    """
    for path in find_shards(out):
        path.unlink()
    (out / MANIFEST).unlink(missing_ok=True)


class Shards:
    """The shards that are there already and those that are written now.

    A shard appears whole or not at all.

    Attributes:
        out: The folder of the shards.
        counts: The numbers of rows, those of earlier starts among them.
        stamps: The stamp of each shard, by the name of its file.
    """

    def __init__(self, out: Path, job: Job, counts: Counts) -> None:
        """Take over the shards of earlier starts, and remove what they left half written.

        Args:
            out: The folder of the shards, which this process alone writes to.
            job: The job.
            counts: Where rows are counted.

        Raises:
            WorkerError: A shard is damaged or of another run.
        """
        self.out, self.counts = out, counts
        self.stamps: dict[str, dict[str, Any]] = {}
        self._job = job
        self._rows: list[Outcome] = []
        self._bytes = 0  # of their vectors
        self._next = 0
        self._flushed = time.monotonic()
        self._by_window: dict[int, list[Path]] = {}
        out.mkdir(parents=True, exist_ok=True)
        # Whose pid they bear says nothing: in a container every worker may be process 1.
        for left_over in out.glob(".*.tmp"):
            left_over.unlink()
        known = read_sealed(out / MANIFEST) if (out / MANIFEST).exists() else {}
        for path in find_shards(out):
            self._take_over(path, known.get(path.name))

    def finished(self, window: int) -> set[str]:
        """Return the system_ids that earlier starts have finished.

        Args:
            window: The number of the window of systems, from 0.
        """
        paths = self._by_window.get(window, [])
        return {system_id for path in paths for system_id in _read_column(path, "system_id")}

    def check(self) -> None:
        """Compare all shards with their stamps.

        Raises:
            WorkerError: A shard is damaged or missing.
        """
        for name, expected in self.stamps.items():
            try:
                check_stamp(self.out / name, expected)
            except DamagedFileError as error:
                raise _cannot_go_on(self.out / name, error) from error

    def add(self, rows: Sequence[Outcome]) -> None:
        """Add rows to the next shard, and count them.

        Args:
            rows: The outcomes of one system in all representations, or of several systems.
        """
        self._rows.extend(rows)
        for row in rows:
            self.counts.add(row.status)
            self._bytes += 0 if row.vector is None else row.vector.nbytes

    def flush(self, window: int, *, every: float = 0.0) -> None:
        """Write what has been added, unless it is little and the last shard is young.

        Args:
            window: The number of the window that the rows are of.
            every: How old the last shard has to be, in seconds, if less than HELD_BYTES wait.

        Raises:
            OSError: The disk is full, or refuses.
        """
        young = time.monotonic() - self._flushed < every
        if not self._rows or (young and self._bytes < HELD_BYTES):
            return
        path = self.out / f"shard-{self._next:05d}.parquet"
        write_atomically(path, lambda temporary: self._write(temporary, window))
        self.stamps[path.name] = stamp(path)
        write_sealed(self.out / MANIFEST, self.stamps)
        self._rows, self._bytes = [], 0
        self._next, self._flushed = self._next + 1, time.monotonic()

    @property
    def paths(self) -> list[Path]:
        """The shards that are there, in the order in which they were written."""
        return find_shards(self.out)

    def _write(self, path: Path, window: int) -> None:
        """Write the rows with one row group per representation, which can be read alone."""
        metadata = {
            "run_id": self._job.run_id,
            "model_id": self._job.model_id,
            "card_hash": self._job.card_hash,
            "window": str(window),
        }
        schema = SHARD.with_metadata(metadata)
        with pq.ParquetWriter(path, schema, **SHARD_OPTIONS) as writer:
            for name in self._job.representations:
                rows = [row for row in self._rows if row.representation == name]
                columns = [list(column) for column in zip(*rows, strict=True)]
                writer.write_table(pa.table(columns, schema=schema))

    def _take_over(self, path: Path, expected: Mapping[str, Any] | None) -> None:
        """Take over a shard; its stamp is None if a start was killed before it noted it."""
        try:
            if expected is not None:
                check_stamp(path, expected)
            pq.read_table(path, page_checksum_verification=True)
        except (DamagedFileError, OSError, ValueError) as error:
            raise _cannot_go_on(path, error) from error
        self.stamps[path.name] = stamp(path)
        metadata = pq.read_schema(path).metadata or {}
        run_id = metadata.get(b"run_id", b"").decode()
        if run_id != self._job.run_id:
            raise WorkerError(
                f"{path} is of run {run_id!r}, not {self._job.run_id!r}; give each run its own "
                "folder"
            )
        self._by_window.setdefault(int(metadata[b"window"]), []).append(path)
        self._next = int(path.stem.removeprefix("shard-")) + 1
        for status in _read_column(path, "status"):
            self.counts.add(status)


def _cannot_go_on(path: Path, error: Exception) -> WorkerError:
    return WorkerError(
        f"the run cannot go on from {path} ({error}); remove it, and repeat: its systems are "
        "computed again"
    )


def _read_column(path: Path, name: str) -> list[str]:
    column: list[str] = pq.read_table(path, columns=[name])[name].to_pylist()
    return column
