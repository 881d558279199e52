"""Materializing a dataset: its entries are validated, hashed and written as Parquet files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import duckdb

from ingest.integrity import Damaged, write_json
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry, Remark, Unreadable
from ingest.systems.materialized import (
    DESCRIPTION,
    MaterializedDataset,
    check_materialized,
    read_materialized,
)
from ingest.systems.tables import IDS, LABELS, UNREADABLE, TableWriter, system_columns
from ingest.systems.validation import validate
from schemas.paths import escape_glob
from zoo.encoder import content_hash
from zoo.files import fsync, write_folder_atomically
from zoo.worker.sealed import stamp
from zoo.worker.tables import SYSTEMS

TABLES = {"systems": SYSTEMS, "unreadable": UNREADABLE, "labels": LABELS, "ids": IDS}
# DuckDB sorts and groups on disk beyond this limit, so that not every id has to be in memory.
IDS_MEMORY = "256MB"
Progress = Callable[[int], None]


def materialize(
    dataset: Dataset, folder: Path, progress: Progress | None = None
) -> MaterializedDataset:
    """Write a dataset's folder, or reuse it if it is up to date and has the sample asked for.

    Entries stream: memory does not grow with the number of systems. The folder appears whole or
    not at all.

    Args:
        dataset: What to write.
        folder: Where it is written; its parent exists, or is made.
        progress: Called with the number of entries read so far.

    Returns:
        The dataset that now lies in the folder.

    Raises:
        DatasetError: An id appears twice, nothing can be read, or the source itself fails.
        Damaged: The folder is damaged and held a sample, so that its size is not known.
    """
    fingerprint = dataset.fingerprint
    existing = _existing(dataset, folder)
    if existing is not None and _is_up_to_date(existing, fingerprint, dataset.sample):
        return existing
    with write_folder_atomically(folder) as new:
        counts = _write_entries(dataset, new, progress)
        dataset_hash = _dataset_hash(dataset, new)
        _write_description(dataset, new, dataset_hash, fingerprint, counts)
    found = read_materialized(folder)
    if found is None:
        raise DatasetError(f"{folder} vanished while it was being written; start again")
    return found


def _existing(dataset: Dataset, folder: Path) -> MaterializedDataset | None:
    try:
        return read_materialized(folder)
    except Damaged:
        # The size of a sample is lost with its description, and a smaller one would take stored
        # vectors away. A dataset without a sample can be made again.
        if dataset.sample is not None:
            raise
        return None


def _is_up_to_date(existing: MaterializedDataset, fingerprint: str, sample: int | None) -> bool:
    if existing.fingerprint != fingerprint or not existing.covers(sample):
        return False
    try:
        check_materialized(existing)
    except Damaged:  # it is made again: that loses nothing and changes nothing
        return False
    return True


def _write_entries(
    dataset: Dataset, folder: Path, progress: Progress | None
) -> dict[str, int | list[str]]:
    """Stream the entries to the folder's tables; return counts and remarks for dataset.json."""
    first_reason = "it has no entries"
    remarks = list[str]()
    with ExitStack() as open_files:
        tables = {
            name: open_files.enter_context(TableWriter(folder / f"{name}.parquet", schema))
            for name, schema in TABLES.items()
        }
        for ordinal, item in enumerate(dataset.entries(), start=1):
            if isinstance(item, Remark):
                remarks.append(item.text)
                continue
            outcome = validate(item) if isinstance(item, Entry) else item
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
    dataset: str, outcome: Entry | Unreadable, ordinal: int, tables: dict[str, TableWriter]
) -> None:
    system_id = f"{dataset}/{outcome.source_id}"
    if isinstance(outcome, Unreadable):
        tables["unreadable"].append(
            source_id=outcome.source_id, system_id=system_id, reason=outcome.reason
        )
        tables["ids"].append(system_id=system_id, content_hash=None, ordinal=ordinal)
        return
    digest = content_hash(outcome)
    tables["systems"].append(system_id=system_id, content_hash=digest, **system_columns(outcome))
    tables["ids"].append(system_id=system_id, content_hash=digest, ordinal=ordinal)
    for label in outcome.labels:
        tables["labels"].append(
            system_id=system_id,
            property=label.property,
            value=label.value,
            unit=label.unit,
            source=label.source,
        )


def _dataset_hash(dataset: Dataset, folder: Path) -> str:
    """Return the SHA-256 over the content hashes in the order of system ids.

    Raises DatasetError if an id appears twice.
    """
    ids, spill = folder / "ids.parquet", folder / "spill"
    with duckdb.connect(
        config={"temp_directory": str(spill), "memory_limit": IDS_MEMORY, "threads": 1}
    ) as connection:
        connection.read_parquet(escape_glob(ids), hive_partitioning=False).create_view("ids")
        _refuse_repeated_ids(connection, dataset)
        connection.execute(
            "SELECT content_hash FROM ids WHERE content_hash IS NOT NULL ORDER BY system_id"
        )
        digest = hashlib.sha256()
        for (content,) in chain.from_iterable(iter(lambda: connection.fetchmany(10_000), [])):
            digest.update(content.encode())
    ids.unlink()
    shutil.rmtree(spill, ignore_errors=True)
    return digest.hexdigest()


def _refuse_repeated_ids(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
    repeated = connection.sql(
        """
        SELECT system_id, min(ordinal), max(ordinal) FROM ids GROUP BY system_id
        HAVING count(*) > 1 ORDER BY min(ordinal) LIMIT 1
        """
    ).fetchone()
    if repeated is not None:
        system_id, first, last = repeated
        raise DatasetError(
            f"{dataset.source}: the id {system_id.removeprefix(dataset.name + '/')!r} appears "
            f"twice, as entry {first} and entry {last}; ids must be unique"
        )


def _write_description(
    dataset: Dataset,
    folder: Path,
    dataset_hash: str,
    fingerprint: str,
    counts: dict[str, int | list[str]],
) -> None:
    files = sorted(folder.glob("*.parquet"))
    for file in files:
        fsync(file)
    description = {
        "dataset": dataset.name,
        "title": dataset.title,
        "source": dataset.source,
        "license": dataset.license,
        **counts,
        "dataset_hash": dataset_hash,
        "versions": dataset.versions,
        "fingerprint": fingerprint,
        "sample": dataset.sample,
        "numbered": dataset.numbered,
        "files": {file.name: stamp(file) for file in files},
    }
    write_json(folder / DESCRIPTION, description)
