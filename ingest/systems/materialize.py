"""Systems on disk: a dataset's entries, checked, hashed and written as a folder of Parquet files."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.integrity import Damaged, check_file, read_json, write_json
from ingest.layout import escape_glob
from ingest.systems.entry import (
    DatasetError,
    Entry,
    Label,
    Remark,
    Unreadable,
    checked,
    content_hash,
)
from schemas.message import one_line
from zoo.code import code_hash
from zoo.worker import stamp, sync

__all__ = [
    "Dataset",
    "DatasetError",
    "Entry",
    "Label",
    "Materialized",
    "Remark",
    "Unreadable",
    "checked",
    "content_hash",
    "materialize",
    "read_materialized",
]

FORMAT = 2  # of the folder and of what ingest.systems.entry checks; part of every fingerprint, so raise it with either
ROW_GROUP = 512

SYSTEMS = pa.schema(
    [
        pa.field("system_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("numbers", pa.list_(pa.int16())),
        pa.field("positions", pa.list_(pa.list_(pa.float64()))),
        pa.field("cell", pa.list_(pa.list_(pa.float64()))),
        pa.field("pbc", pa.list_(pa.bool_())),
        pa.field("charge", pa.int32()),
        pa.field("spin", pa.int32()),
        pa.field("smiles", pa.string()),
        pa.field("sequence", pa.string()),
        pa.field("backbone", pa.list_(pa.list_(pa.list_(pa.float64())))),
    ]
)
UNREADABLE = pa.schema([(name, pa.string()) for name in ("source_id", "system_id", "reason")])
LABELS = pa.schema(
    [("system_id", pa.string()), ("property", pa.string()), ("value", pa.float64())]
    + [("unit", pa.string()), ("source", pa.string())]
)
IDS = pa.schema(
    [("system_id", pa.string()), ("content_hash", pa.string()), ("ordinal", pa.int64())]
)


@dataclass(frozen=True)
class Dataset:
    """A named, fixed list of systems.

    `made_from`: every file, of code or of data, whose bytes decide the entries; with the versions of `packages` they
    make the fingerprint by which a folder written earlier is known to be up to date.
    """

    name: str
    title: str
    source: str
    license: str
    packages: tuple[str, ...]
    entries: Callable[[], Iterator[Entry | Unreadable | Remark]]
    made_from: tuple[str, ...]
    approx_systems: int | None = None  # None: not known before it is read
    approx_seconds: float | None = None  # to materialize it, on 2 CPU cores
    sample: int | None = None  # only so many systems of it, see ingest.systems.sample; None: all

    def drawn(self, limit: int | None, say: Callable[[str], None]) -> Dataset:
        """The dataset as it is materialized where `limit` systems are asked for: whole, as what we carry is small."""
        return self

    @property
    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in self.packages}

    @property
    def fingerprint(self) -> str:
        files = [_made_from_hash(Path(path)) for path in self.made_from]
        return hashlib.sha256(
            json.dumps([FORMAT, self.name, files, self.versions]).encode()
        ).hexdigest()


def _made_from_hash(path: Path) -> str:
    """The hash of a file that entries are made from; what is said about code in comments makes no entry another."""
    return code_hash(path.read_bytes()) if path.suffix == ".py" else file_hash(path)


@dataclass(frozen=True)
class Materialized:
    """A dataset's folder: systems.parquet, unreadable.parquet, labels.parquet, dataset.json."""

    folder: Path
    dataset: str
    title: str
    source: str
    license: str
    n_systems: int
    n_unreadable: int
    dataset_hash: str
    versions: dict[str, str]
    fingerprint: str
    sample: int | None = None  # how many were asked for; None: all
    remarks: Sequence[str] = ()  # on what the source holds and nobody reads
    files: dict[str, dict[str, Any]] | None = (
        None  # the stamp of each Parquet file; None: made before there were any
    )

    def covers(self, sample: int | None) -> bool:
        """Does it hold a sample of that size? A source that gave fewer than were asked for has given all."""
        if self.sample is None or self.n_systems < self.sample:
            return True
        return sample is not None and sample <= self.sample

    @property
    def systems(self) -> Path:
        return self.folder / "systems.parquet"

    @property
    def unreadable(self) -> Path:
        return self.folder / "unreadable.parquet"

    @property
    def labels(self) -> Path:
        return self.folder / "labels.parquet"


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def materialize(
    dataset: Dataset, folder: Path, progress: Callable[[int], None] | None = None
) -> Materialized:
    """Write a dataset's folder, or reuse it where its fingerprint still holds and it has the sample asked for.

    Streams: memory does not grow with the number of systems. The folder appears whole or not at all; `progress` is
    called with the number of entries read so far. Raises DatasetError where an id appears twice or nothing is readable.
    """
    fingerprint = dataset.fingerprint
    try:
        existing = read_materialized(folder)
    except Damaged:
        if (
            dataset.sample is not None
        ):  # how many there were is lost with it, and fewer would take vectors away
            raise
        existing = None
    if (
        existing is not None
        and existing.fingerprint == fingerprint
        and existing.covers(dataset.sample)
    ):
        with suppress(
            Damaged
        ):  # then it is made again: nothing is lost by that, and nothing changes
            check_materialized(existing)
            return existing
    with _partial(folder) as partial:
        counts = _write_entries(dataset, partial, progress)
        dataset_hash = _dataset_hash(dataset, partial)
        _write_description(dataset, partial, dataset_hash, fingerprint, counts)
        _swap(partial, folder)
    return _reread(folder)


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A folder beside the one that is to be; nothing of it stays, nor of one whose process was killed."""
    for other in folder.parent.glob(f".{folder.name}.*.partial"):
        with suppress(OSError), (other / ".lock").open("r+") as lock:
            fcntl.flock(
                lock, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # BlockingIOError while its process lives
            shutil.rmtree(other)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        with (partial / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_materialized(dataset: Materialized) -> None:
    """Raise Damaged, with what to do, where a file of the folder is not as it was written."""
    try:
        for name, stated in (dataset.files or {}).items():
            check_file(dataset.folder / name, stated)
        if dataset.files is None:  # made before there were stamps
            _check_readable(dataset)
    except Damaged as error:
        raise Damaged(
            f"{error}. Any `make ingest` over {dataset.dataset} makes it again"
        ) from error


def _check_readable(dataset: Materialized) -> None:
    """Raise Damaged where a file of the folder is no whole Parquet file."""
    for file in (dataset.systems, dataset.unreadable, dataset.labels):
        try:
            with pq.ParquetFile(file, page_checksum_verification=True) as table:
                for batch in table.iter_batches():
                    batch.validate(full=True)
        except (OSError, ValueError) as error:
            raise Damaged(f"{file} is damaged: {one_line(error)}") from error


def read_materialized(folder: Path) -> Materialized | None:
    """The dataset that was written to a folder, None where there is none."""
    file = folder / "dataset.json"
    if not file.exists():
        return None
    try:
        return Materialized(folder=folder, **read_json(file))
    except Damaged as error:
        raise Damaged(
            f"{error}. Remove {folder}: `make ingest` makes it again, with the LIMIT that it had"
        ) from error
    except TypeError:  # written by another version: it is made again
        return None


def _reread(folder: Path) -> Materialized:
    found = read_materialized(folder)
    if found is None:
        raise DatasetError(f"{folder} vanished while it was being written; start again")
    return found


class _Table:
    """A Parquet file that rows are appended to, a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self.schema = schema
        self.rows: list[dict[str, Any]] = []
        self.count = 0

    def append(self, **row: Any) -> None:
        self.rows.append(row)
        self.count += 1
        if len(self.rows) == ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.rows.clear()

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            if self.rows:
                self._flush()
            self.writer.close()
            return
        with suppress(
            OSError, ValueError
        ):  # pyarrow's, of a file that the first error has closed; it would hide that
            self.writer.close()


def _write_entries(
    dataset: Dataset, folder: Path, progress: Callable[[int], None] | None
) -> dict[str, int | list[str]]:
    """Stream the entries to the folder's tables. Returns the counts and the remarks of dataset.json."""
    schemas = {"systems": SYSTEMS, "unreadable": UNREADABLE, "labels": LABELS, "ids": IDS}
    first_reason = "it has no entries"
    remarks = list[str]()
    with ExitStack() as open_files:
        tables = {
            n: open_files.enter_context(_Table(folder / f"{n}.parquet", schema))
            for n, schema in schemas.items()
        }
        for ordinal, entry in enumerate(dataset.entries(), start=1):
            if isinstance(entry, Remark):
                remarks.append(entry.text)
                continue
            outcome = checked(entry) if isinstance(entry, Entry) else entry
            if isinstance(outcome, Unreadable) and not tables["unreadable"].count:
                first_reason = f"the first of its entries, {outcome.source_id}: {outcome.reason}"
            _append(dataset.name, outcome, ordinal, tables)
            if progress is not None:
                progress(ordinal)
    if not tables["systems"].count:
        raise DatasetError(f"nothing in {dataset.source} can be read: {first_reason}")
    counts = {"n_systems": tables["systems"].count, "n_unreadable": tables["unreadable"].count}
    return {**counts, "remarks": remarks}


def _append(
    dataset: str, outcome: Entry | Unreadable, ordinal: int, tables: dict[str, _Table]
) -> None:
    system_id = f"{dataset}/{outcome.source_id}"
    if isinstance(outcome, Unreadable):
        tables["unreadable"].append(
            source_id=outcome.source_id, system_id=system_id, reason=outcome.reason
        )
        tables["ids"].append(system_id=system_id, content_hash=None, ordinal=ordinal)
        return
    fields = {name: getattr(outcome, name) for name in SYSTEMS.names[2:]}
    row = {name: _plain(value) for name, value in fields.items()}
    digest = content_hash(outcome)
    tables["systems"].append(system_id=system_id, content_hash=digest, **row)
    tables["ids"].append(system_id=system_id, content_hash=digest, ordinal=ordinal)
    for label in outcome.labels:
        tables["labels"].append(
            system_id=system_id,
            property=label.property,
            value=label.value,
            unit=label.unit,
            source=label.source,
        )


def _plain(value: Any) -> Any:
    """A field as Parquet takes it; -0.0 becomes 0.0, which it is to the content hash."""
    if not isinstance(value, np.ndarray):
        return value
    return (value + 0.0 if value.dtype.kind == "f" else value).tolist()


def _dataset_hash(dataset: Dataset, folder: Path) -> str:
    """sha256 over the content hashes in order of system_id. Refuses ids that appear twice.

    DuckDB sorts and groups on disk beyond the memory limit, so neither needs every id in memory.
    """
    ids = folder / "ids.parquet"
    with duckdb.connect(
        config={"temp_directory": str(folder / "spill"), "memory_limit": "256MB", "threads": 1}
    ) as con:
        con.read_parquet(escape_glob(ids), hive_partitioning=False).create_view("ids")
        twice = con.sql(
            "SELECT system_id, min(ordinal), max(ordinal) FROM ids GROUP BY system_id HAVING count(*) > 1"
            " ORDER BY min(ordinal) LIMIT 1"
        ).fetchone()
        if twice is not None:
            source_id = twice[0].removeprefix(dataset.name + "/")
            raise DatasetError(
                f"{dataset.source}: the id {source_id!r} appears twice, as entry {twice[1]} and entry {twice[2]};"
                " ids must be unique"
            )
        digest = hashlib.sha256()
        con.execute(
            "SELECT content_hash FROM ids WHERE content_hash IS NOT NULL ORDER BY system_id"
        )
        for (content,) in chain.from_iterable(iter(lambda: con.fetchmany(10_000), [])):
            digest.update(content.encode())
    ids.unlink()
    shutil.rmtree(folder / "spill", ignore_errors=True)
    return digest.hexdigest()


def _write_description(
    dataset: Dataset,
    folder: Path,
    dataset_hash: str,
    fingerprint: str,
    counts: dict[str, int | list[str]],
) -> None:
    about = {
        "dataset": dataset.name,
        "title": dataset.title,
        "source": dataset.source,
        "license": dataset.license,
    }
    made = {"dataset_hash": dataset_hash, "versions": dataset.versions, "fingerprint": fingerprint}
    files = sorted(folder.glob("*.parquet"))
    for file in files:
        sync(file)
    more = {"sample": dataset.sample, "files": {file.name: stamp(file) for file in files}}
    write_json(folder / "dataset.json", about | counts | made | more)


def _swap(new: Path, folder: Path) -> None:
    """Put a finished folder in the place of an older one (or of none)."""
    (new / ".lock").unlink()
    old = new.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
