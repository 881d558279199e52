"""The rows of a run's representation, written to a file that is published, and its record."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.runs.check import STATUSES, check_run
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.import_vectors import LONGEST
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.store.run_tables import runtime_of
from ingest.runs.vectors.files import list_files
from ingest.share.record import (
    EmbeddedDataset,
    ModelRow,
    PublishedRun,
    StatusCounts,
    path_of,
    slug,
)
from ingest.systems.dataset import file_hash
from ingest.systems.materialized import MaterializedDataset
from schemas.paths import escape_glob
from zoo.worker.pooling import NODES, split_name
from zoo.worker.tables import SHARD, SHARD_OPTIONS

AT_ONCE = 1024  # rows in memory, and in a row group
_VECTOR_COLUMNS = pa.schema([SHARD.field("system_id"), SHARD.field("vector")])
_OUTCOMES = """
FROM read_parquet(?, hive_partitioning = false) WHERE representation = ? ORDER BY system_id
"""
# The fields of a record that job.json and run.json have.
_JOB_FIELDS = ("model_id", "untrained_seed", "dtype", "card_hash", "encoder_hash", "lock_hash")
_RUN_FIELDS = (
    "weights",
    "versions",
    "device",
    "device_name",
    "driver",
    "peak_memory_bytes",
    "started",
    "finished",
)


def published_run_id(run: Run, name: str) -> str:
    """Return the id of the run as which one representation of a run is published.

    Args:
        run: A finished run.
        name: One of its representations.
    """
    is_only = run.read("job/job.json")["representations"] == [name]
    return run.run_id if is_only else f"{run.run_id}--{slug(name)}"


def write_vector_file(
    run: Run, name: str, dataset: MaterializedDataset, folder: Path
) -> PublishedRun:
    """Check a run, and write its rows of one representation to a file.

    Args:
        run: A finished run.
        name: One of its representations.
        dataset: The dataset that was embedded.
        folder: Where the file is written.

    Returns:
        The record of the file, which is the last part of the record's path.

    Raises:
        ShardError: The files of the run are not whole.
    """
    limit = memory_limit(dataset.n_systems, LONGEST)
    with duckdb.connect(config={"memory_limit": limit}) as connection:
        check_run(connection, run)
    job, outcome = run.read("job/job.json"), run.read("out/run.json")
    rows, runtime = run.read("model.json"), runtime_of(run)
    declared = job["model"]["representation"]
    run_id = published_run_id(run, name)
    path = path_of(dataset.dataset, job["model_id"], name, run_id)
    file = folder / Path(path).name
    metadata = {"run_id": run_id, "model_id": job["model_id"], "card_hash": job["card_hash"]}
    counts = _write_rows(run, name, file, metadata)
    return PublishedRun(
        run_id=run_id,
        dataset=_describe_dataset(dataset),
        representation=name,
        dimension=next(r["dimension"] for r in declared if r["name"] == name),
        file=path,
        sha256=file_hash(file),
        size=file.stat().st_size,
        counts=StatusCounts(sent=sum(counts.values()), **counts),
        seconds=outcome["seconds"]["total"],
        runtime=runtime["runtime"],
        image=runtime["image"],
        origin=runtime.get("origin"),
        model=ModelRow(**{key: rows["model"][key] for key in ModelRow.model_fields}),
        scores=rows["scores"],
        matterzoo=version("matterzoo"),
        **{key: job[key] for key in _JOB_FIELDS},
        **{key: outcome[key] for key in _RUN_FIELDS},
    )


def _describe_dataset(dataset: MaterializedDataset) -> EmbeddedDataset:
    """Describe the dataset; of a user's own file, give the name and not the folder."""
    source = Path(dataset.source)
    return EmbeddedDataset(
        name=dataset.dataset,
        title=dataset.title,
        source=source.name if source.is_absolute() else dataset.source,
        license=dataset.license,
        dataset_hash=dataset.dataset_hash,
        systems=dataset.n_systems,
    )


class _Vectors:
    """The vectors of one representation of a run in the order of system_id, some at a time."""

    def __init__(self, run: Run, name: str) -> None:
        batches = self._read(run, name)
        self._batches = _join_nodes(batches) if split_name(name)[1] == NODES else batches
        self._held = _VECTOR_COLUMNS.empty_table()

    def _read(self, run: Run, name: str) -> Iterator[pa.RecordBatch]:
        for file in list_files(run):
            if file.representation == name:
                columns = _VECTOR_COLUMNS.names + ([] if file.systems is None else ["node"])
                with file.local_copy() as path, pq.ParquetFile(path) as parquet:
                    yield from parquet.iter_batches(AT_ONCE, columns=columns)

    def take(self, system_ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the next vectors, which are those of these systems."""
        count = len(system_ids)
        while self._held.num_rows < count:
            batch = next(self._batches, None)
            if batch is None:
                raise ShardError("its vector files have fewer vectors than systems that are ok")
            more = pa.Table.from_batches([batch]).cast(_VECTOR_COLUMNS)
            self._held = pa.concat_tables([self._held, more])
        taken, self._held = self._held[:count], self._held[count:]
        if not taken["system_id"].equals(system_ids):
            raise ShardError("its vector files are in another order than that of system_id")
        return taken["vector"]


def _join_nodes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield a row per system from rows of nodes, its vectors one after another."""
    held = None
    for batch in batches:
        held = pa.Table.from_batches([batch] if held is None else [*held.to_batches(), batch])
        starts = np.flatnonzero(held["node"].to_numpy() == 0)
        if len(starts) > 1:
            yield _one_row_each(held[: starts[-1]])
            held = held[starts[-1] :]
    if held is not None:
        yield _one_row_each(held)


def _one_row_each(nodes: pa.Table) -> pa.RecordBatch:
    nodes = nodes.combine_chunks()
    starts = np.flatnonzero(nodes["node"].to_numpy() == 0)
    lists = nodes["vector"].chunk(0)
    length = len(lists.flatten()) // len(lists)
    ends = pa.array(np.append(starts, len(lists)) * length, pa.int32())
    vectors = pa.ListArray.from_arrays(ends, lists.flatten())
    return pa.record_batch([nodes["system_id"].chunk(0).take(starts), vectors], _VECTOR_COLUMNS)


def _write_rows(run: Run, name: str, file: Path, metadata: dict[str, str]) -> dict[str, int]:
    """Write outcomes and vectors as the rows of one shard; return how many have each status."""
    counts = dict.fromkeys(STATUSES, 0)
    schema, vectors = SHARD.with_metadata(metadata), _Vectors(run, name)
    with (
        pq.ParquetWriter(file, schema, compression="zstd", **SHARD_OPTIONS) as writer,
        duckdb.connect() as connection,
    ):
        outcomes = connection.execute(_OUTCOMES, [escape_glob(run.outcomes), name])
        for batch in outcomes.to_arrow_reader(AT_ONCE):
            rows = pa.Table.from_batches([batch])
            is_ok = pc.equal(rows["status"], "ok")
            found = vectors.take(rows["system_id"].filter(is_ok))
            places = np.cumsum(is_ok.to_numpy()) - 1
            column = found.take(pa.array(places, mask=~is_ok.to_numpy()))
            for each in pc.value_counts(rows["status"]).to_pylist():
                counts[each["values"]] += each["counts"]
            rows = rows.append_column("vector", column).select(SHARD.names).cast(SHARD)
            writer.write_table(rows.replace_schema_metadata(schema.metadata))
    return counts
