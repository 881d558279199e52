"""A published file becomes the folder of a finished run, checked as one's own runs are."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest.callbacks import Log
from ingest.layout import Layout
from ingest.runs.check import inspect_run
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run, lock_run
from ingest.runs.imported import IMPORTED
from ingest.runs.job_folder import model_rows
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.vectors.conversion import convert
from ingest.share.offer import Offer
from ingest.share.record import FETCHED, PublishedRun, ShareError
from ingest.systems.dataset import file_hash
from ingest.systems.materialized import MaterializedDataset
from schemas.message import one_line
from schemas.paths import escape_glob
from zoo.cards.family import Selection
from zoo.encoder import ENERGY
from zoo.files import fsync
from zoo.terminal import show_download
from zoo.weights import hub
from zoo.weights.errors import DownloadError
from zoo.worker.job import Job
from zoo.worker.sealed import stamp
from zoo.worker.tables import SHARD

# The fields of a record that job.json has.
_JOB_FIELDS = (
    "run_id",
    "model_id",
    "untrained_seed",
    "dtype",
    "card_hash",
    "encoder_hash",
    "lock_hash",
    "device",
)
# The fields of a record that run.json has.
_RUN_FIELDS = (
    "run_id",
    "model_id",
    "device",
    "device_name",
    "driver",
    "dtype",
    "versions",
    "weights",
    "counts",
    "started",
    "finished",
    "peak_memory_bytes",
)
_WRITE_SENT = """
COPY (
    SELECT DISTINCT system_id, content_hash, numbers, sequence
    FROM read_parquet($shard, hive_partitioning = false)
    LEFT JOIN (
        SELECT system_id, content_hash, numbers, sequence
        FROM read_parquet($here, hive_partitioning = false)
    ) USING (system_id, content_hash)
    WHERE starts_with(system_id, $prefix)
) TO '{target}' (FORMAT parquet)
"""
_AGREEMENT = """
SELECT count_if(h.content_hash = s.content_hash), count_if(h.content_hash != s.content_hash),
    count_if(h.system_id IS NULL)
FROM read_parquet(?, hive_partitioning = false) AS s
LEFT JOIN read_parquet(?, hive_partitioning = false) AS h USING (system_id)
"""


@dataclass(frozen=True)
class Agreement:
    """How the systems of a run agree with the dataset on this machine.

    Attributes:
        same: How many are in the dataset with the same content.
        changed: How many are in the dataset with other content.
        absent: How many are not in the dataset.
    """

    same: int
    changed: int
    absent: int


def compare_systems(run: Run, dataset: MaterializedDataset) -> Agreement:
    """Count how many systems of a run are in a dataset.

    Args:
        run: A finished run.
        dataset: The dataset of the same name on this machine.

    Returns:
        The counts.
    """
    with duckdb.connect() as connection:
        files = [escape_glob(run.systems), escape_glob(dataset.systems)]
        return Agreement(*connection.execute(_AGREEMENT, files).fetchall()[0])


def stage_run(
    layout: Layout,
    offer: Offer,
    record: PublishedRun,
    selection: Selection | None,
    dataset: MaterializedDataset,
    log: Log,
) -> None:
    """Make the folder of a run beside the others, and move it among them once it is checked.

    Args:
        layout: The store.
        offer: Where the file is published.
        record: The file.
        selection: The model, if this zoo has a card of it.
        dataset: The dataset of the same name on this machine.
        log: Prints one line.

    Raises:
        ShareError: The file cannot be downloaded, or is refused; nothing of it stays.
    """
    staged, run = Run(layout.data / "fetched" / record.run_id), Run.of(layout, record.run_id)
    staged.out.mkdir(parents=True, exist_ok=True)
    with lock_run(staged):
        try:
            _download(staged, offer, record, log)
        except DownloadError as error:
            raise ShareError(str(error)) from error
        _write_description(staged, offer, record, selection)
        _check(staged, offer, record, dataset)
        if run.folder.exists():
            shutil.rmtree(run.folder)  # it holds a part of a run that never finished
        run.folder.parent.mkdir(exist_ok=True)
        staged.folder.replace(run.folder)
        fsync(run.folder.parent)


def _download(staged: Run, offer: Offer, record: PublishedRun, log: Log) -> None:
    """Put the verified file where a worker would have put its shard; resume a broken download."""
    target = staged.out / "shard-00000.parquet"
    if target.exists() and file_hash(target) != record.sha256:
        target.unlink()
    with show_download(Path(record.file).name) as bar:
        hub.download_dataset_file(
            offer.repo, offer.commit, record.file, target, record.content, log, bar.move
        )


def _write_description(
    staged: Run, offer: Offer, record: PublishedRun, selection: Selection | None
) -> None:
    """Write the JSON files of a run, by this zoo's own card of the model if it has one."""
    rows = _published_rows(record) if selection is None else model_rows(selection)
    facts = record.model_dump(mode="json")
    job = Job(
        **{name: facts[name] for name in _JOB_FIELDS},
        family=rows["model"]["family"],
        model=_published_card(record)
        if selection is None
        else selection.model.for_worker([record.representation]),
        representations=(record.representation,),
        dataset=record.dataset.name,
        replaces_all=rows["model"]["family"] == IMPORTED,
    )
    outcome = {name: facts[name] for name in _RUN_FIELDS} | {
        "status": "ok",
        "seconds": {"total": record.seconds},
        "shards": {staged.shards[0].name: {"size": record.size, "sha256": record.sha256}},
    }
    runtime = {"runtime": FETCHED, "image": record.image, "origin": offer.origin}
    staged.write("model.json", rows)
    staged.write("runtime.json", runtime)
    staged.write("job/job.json", job.to_json())
    staged.write("out/run.json", outcome)


def _published_rows(record: PublishedRun) -> dict[str, Any]:
    """Return the rows of a model without a card in this zoo, as they were published."""
    facts = record.model_dump(mode="json")
    model = {"model_id": record.model_id} | facts["model"] | {"card_hash": record.card_hash}
    return {"model": model, "scores": facts["scores"]}


def _published_card(record: PublishedRun) -> dict[str, Any]:
    representation = {"name": record.representation, "dimension": record.dimension}
    energy = record.model.card.get(ENERGY)
    return {"input": record.model.input, "representation": [representation], ENERGY: energy}


def _check(staged: Run, offer: Offer, record: PublishedRun, dataset: MaterializedDataset) -> None:
    """Check a run as one's own; what does not pass is removed before anything is stored."""
    try:
        _check_schema(staged.shards[0])
        limit = memory_limit(dataset.n_systems + record.counts.sent, record.dimension)
        with duckdb.connect(
            config={"memory_limit": limit, "temp_directory": str(staged.folder / "tmp")}
        ) as connection:
            _write_sent(connection, staged, dataset)
            convert(staged)
            inspect_run(connection, staged)
        fsync(staged.systems)
        staged.write("job/job.json", staged.read("job/job.json") | {"sent": stamp(staged.systems)})
        if not compare_systems(staged, dataset).same:
            raise ShardError(
                f"none of its systems is in the {dataset.dataset} on this machine "
                "with the same content"
            )
    except (ShardError, duckdb.Error, OSError, ValueError) as error:
        shutil.rmtree(staged.folder)
        raise ShareError(
            f"{record.file} in {offer.origin} is refused: {one_line(error)}. "
            "Nothing of it is stored"
        ) from error
    shutil.rmtree(staged.folder / "tmp", ignore_errors=True)


def _check_schema(file: Path) -> None:
    found = pq.read_schema(file).remove_metadata()
    without_energies = SHARD.remove(SHARD.get_field_index(ENERGY))  # as earlier versions wrote it
    if not found.equals(SHARD) and not found.equals(without_energies):
        columns = [
            ", ".join(f"{field.name} {field.type}" for field in schema) for schema in (found, SHARD)
        ]
        raise ShardError(f"its columns are {columns[0]}, expected {columns[1]}")


def _write_sent(
    connection: duckdb.DuckDBPyConnection, staged: Run, dataset: MaterializedDataset
) -> None:
    """Write the job's systems.parquet: all that is read of a finished run's.

    That is ids and hashes, and the nodes of those systems that are on this machine.
    """
    target = str(staged.systems).replace("'", "''")
    files = {"shard": escape_glob(staged.shards[0]), "here": escape_glob(dataset.systems)}
    prefix = {"prefix": f"{dataset.dataset}/"}
    connection.execute(_WRITE_SENT.format(target=target), files | prefix)
