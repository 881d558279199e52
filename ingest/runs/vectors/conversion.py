"""Make vector files out of the shards of a finished run, as workers do now at their end.

Earlier versions left the vectors of a finished run in its shards, and so does a file that is
fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingest.integrity import check_file
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.vectors.numbers import refuse_foreign
from zoo.worker.errors import WorkerError
from zoo.worker.merge import merge_shards
from zoo.worker.sealed import stamp
from zoo.worker.vector_files import VectorFiles


def convert(run: Run) -> None:
    """Write vector files and outcomes of a run, and then remove its shards.

    A kill leaves the run as it was, or converted; what is half written is written again.

    Args:
        run: A finished run with shards.

    Raises:
        ShardError: A shard is not what the run's JSON files say.
        Damaged: A shard is missing or not as it was written.
    """
    job, result = run.read("job/job.json"), run.read("out/run.json")
    _check_shards(run, job, result)
    lengths = {each["name"]: each["dimension"] for each in job["model"]["representation"]}
    dimensions = {name: lengths[name] for name in job["representations"]}
    files = VectorFiles(run.out, run.run_id, job["model_id"], job["card_hash"])
    try:
        merge_shards(run.shards, files, dimensions)
    except WorkerError as error:
        raise ShardError(str(error)) from error
    merged = {"vectors": files.entries, "outcomes": stamp(run.outcomes)}
    run.write("out/run.json", result | merged)
    discard_shards(run)


def discard_shards(run: Run) -> None:
    """Remove the shards of a run, whose vector files hold what they held.

    Args:
        run: A finished run with vector files.
    """
    for shard in run.shards:
        shard.unlink()


def _check_shards(run: Run, job: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Compare the shards with the stamps that were noted; runs of early versions have none."""
    if not run.shards:
        raise ShardError("its run.json names no vector files, and it has no shards")
    stated = result.get("shards", {})
    unknown = {file.name for file in run.shards} - stated.keys()
    if stated and unknown:
        raise ShardError(f"{min(unknown)} is there, and its run.json does not name it")
    for name, expected in stated.items():
        check_file(run.out / name, expected)
    for shard in run.shards:
        _check_metadata(shard, job)


def _check_metadata(shard: Path, job: Mapping[str, Any]) -> None:
    """Refuse a shard that is no whole Parquet file, or that belongs to another run."""
    try:
        metadata = pq.read_metadata(shard).metadata
    except (OSError, ValueError) as error:
        raise ShardError(f"{shard.name} is not a whole Parquet file ({error})") from error
    refuse_foreign(shard.name, metadata, job)
