"""Check the vectors in the files of a run: their length, and that every number is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.runs.errors import ShardError
from ingest.runs.vectors.files import RunFile
from zoo.worker.pooling import split_name

STATED = ("run_id", "model_id", "card_hash")  # in a file's metadata, as the job has them
CONSTANT = ("run_id", "model_id", "representation")  # columns with one value per file


def check_numbers(files: Sequence[RunFile], job: Mapping[str, Any]) -> None:
    """Check the vectors of a run, some at a time.

    Args:
        files: The vector files of the run.
        job: The run's job.

    Raises:
        ShardError: A file is of another run, or has a vector that may not be.
    """
    dimensions = {each["name"]: each["dimension"] for each in job["model"]["representation"]}
    for file in files:
        if file.representation not in job["representations"]:
            raise ShardError(f"{file.name} holds {file.representation!r}, which was not asked for")
        try:
            _check_file(file, job, dimensions[file.representation])
        except (pa.ArrowException, OSError) as error:
            raise ShardError(f"{file.path} cannot be read: {error}") from error


def refuse_foreign(
    name: str, metadata: Mapping[bytes, bytes] | None, job: Mapping[str, Any]
) -> None:
    """Refuse a Parquet file that belongs to another run.

    Args:
        name: How errors call the file.
        metadata: The file's own metadata.
        job: The run's job.

    Raises:
        ShardError: The file was written for another run, model or card.
    """
    for key in STATED:
        found = (metadata or {}).get(key.encode(), b"").decode()
        if found != job[key]:
            raise ShardError(f"{name} was written with {key} {found!r}, expected {job[key]!r}")


def _check_file(file: RunFile, job: Mapping[str, Any], dimension: int) -> None:
    with pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
        refuse_foreign(file.name, parquet.metadata.metadata, job)
        if parquet.metadata.num_rows != file.rows:
            raise ShardError(
                f"{file.name} has {parquet.metadata.num_rows} rows, but its run.json says "
                f"{file.rows}"
            )
        for group in range(parquet.num_row_groups):
            _check_rows(parquet.read_row_group(group), file, job["model_id"], dimension)


def _check_rows(rows: pa.Table, file: RunFile, model_id: str, dimension: int) -> None:
    named = file.representation if file.systems is None else split_name(file.representation)[0]
    expected = dict(zip(CONSTANT, (file.run.run_id, model_id, named), strict=True))
    for name, value in expected.items():
        found = set(rows[name].unique().to_pylist()) - {value}
        if found:
            raise ShardError(f"{file.name} has {name} {min(map(str, found))!r}, expected {value!r}")
    for chunk in rows["vector"].chunks:
        numbers = chunk.flatten()
        wrong = chunk.null_count or numbers.null_count or len(numbers) != len(chunk) * dimension
        if wrong or not _are_finite(numbers):
            _name_fault(rows, dimension)


def _are_finite(numbers: pa.Array) -> bool:
    """Return whether all numbers are finite: then so is their sum in double precision."""
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(numbers.to_numpy().sum(dtype=np.float64)))


def _name_fault(rows: pa.Table, dimension: int) -> None:
    """Raise ShardError for the first vector that is not as it must be."""
    for system_id, vector in zip(
        rows["system_id"].to_pylist(), rows["vector"].to_pylist(), strict=True
    ):
        if vector is None or len(vector) != dimension:
            raise ShardError(f"{system_id} has a vector of another length than the card says")
        if None in vector or not np.isfinite(vector).all():
            raise ShardError(f"{system_id} has a vector that is not finite")
