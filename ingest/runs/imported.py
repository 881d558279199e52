"""Write the folder of a run of imported vectors, as if a worker had made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.runs.folder import Run
from ingest.systems.dataset import file_hash
from ingest.systems.materialized import MaterializedDataset
from schemas.paths import escape_glob
from zoo.files import fsync
from zoo.worker.job import Job
from zoo.worker.sealed import stamp
from zoo.worker.tables import OUTCOMES, OUTCOMES_OPTIONS, SYSTEMS
from zoo.worker.vector_files import VectorFiles, VectorRows

# Family, input, representation, runtime and device of vectors that no worker of ours computed, as
# the store has them.
IMPORTED = "given"
NOT_STATED = "not stated"  # a license is never guessed
ROWS_AT_ONCE = 1024
VECTORS = """
SELECT k.system_id, content_hash, vector::FLOAT[] AS vector
FROM imported JOIN known AS k USING (row) ORDER BY system_id
"""
OUTCOMES_OF_ALL = """
SELECT system_id, content_hash, ? AS representation, 'ok' AS status, NULL::VARCHAR AS reason,
    NULL::DOUBLE AS energy
FROM known ORDER BY system_id
"""


@dataclass(frozen=True)
class ImportedVectors:
    """Vectors that a user imports.

    Attributes:
        model_id: The id that the model is to have in the store.
        file: A file of one of the formats of `ingest.runs.user_vectors.reading`.
        title: What the model is; None names the file.
        license: The license of the vectors; None records that it is not stated.
        ids: A file of ids, in the order of the vectors, if the file of vectors has none.
        numbered: Whether vectors without ids are in the order of the dataset.
    """

    model_id: str
    file: Path
    title: str | None = None
    license: str | None = None
    ids: Path | None = None
    numbered: bool = False


@dataclass(frozen=True)
class Checked:
    """What was found about imported vectors.

    Attributes:
        dimension: The length of the vectors.
        rounding: What float32 loses, see `relative_rounding`.
        count: How many vectors there are.
        started: When the import began.
    """

    dimension: int
    rounding: float
    count: int
    started: datetime


def hash_card(model_id: str, dimension: int) -> str:
    """Return what stands for a card's hash: if the length changes, it is another model.

    Args:
        model_id: The model's id.
        dimension: The length of its vectors.
    """
    return hashlib.sha256(json.dumps([model_id, IMPORTED, dimension]).encode()).hexdigest()


def write_files(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    found: Checked,
) -> list[dict[str, Any]]:
    """Write systems, vectors and outcomes, as if a worker had been sent exactly these systems.

    Args:
        connection: Has the tables `imported` and `known`; see `check_rows`.
        run: The run that is to be.
        imported: What is imported.
        dataset: The dataset that the vectors are over.
        found: What was found about the vectors.

    Returns:
        What run.json says of the vector files.
    """
    run.job.mkdir(parents=True, exist_ok=True)
    run.out.mkdir(exist_ok=True)
    sent = f"SELECT {', '.join(SYSTEMS.names)} FROM read_parquet(?, hive_partitioning = false)"
    systems = connection.execute(
        f"{sent} SEMI JOIN known USING (system_id)", [escape_glob(dataset.systems)]
    )
    _write_parquet(run.systems, systems, SYSTEMS, compression="zstd", write_page_checksum=True)
    outcomes = connection.execute(OUTCOMES_OF_ALL, [IMPORTED])
    _write_parquet(run.outcomes, outcomes, OUTCOMES, **OUTCOMES_OPTIONS)
    card_hash = hash_card(imported.model_id, found.dimension)
    files = VectorFiles(run.out, run.run_id, imported.model_id, card_hash)
    files.write(IMPORTED, _read_vectors(connection, found.dimension), found.count)
    return files.entries


def _read_vectors(connection: duckdb.DuckDBPyConnection, dimension: int) -> Iterator[VectorRows]:
    """Yield the vectors in the order of system_id, some at a time."""
    for batch in connection.execute(VECTORS).to_arrow_reader(ROWS_AT_ONCE):
        numbers = batch["vector"].flatten().to_numpy().reshape(-1, dimension)
        yield VectorRows(batch["system_id"], batch["content_hash"], numbers)


def _write_parquet(
    path: Path, rows: duckdb.DuckDBPyConnection, schema: pa.Schema, **options: Any
) -> None:
    """Write the rows of a query, some at a time."""
    with pq.ParquetWriter(path, schema, **options) as writer:
        for batch in rows.to_arrow_reader(ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    fsync(path)


def describe(
    run: Run,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    checked: Checked,
    files: list[dict[str, Any]],
) -> None:
    """Write the JSON files of a run, run.json last: with it, the run is finished.

    Args:
        run: A run whose other files are written.
        imported: What is imported.
        dataset: The dataset that the vectors are over.
        checked: What was found about the vectors.
        files: What `write_files` returned.
    """
    card = {
        "id": imported.model_id,
        "input": IMPORTED,
        "representation": [{"name": IMPORTED, "dimension": checked.dimension}],
    }
    job = _make_job(run, imported, dataset, card, checked)
    rows = _model_rows(imported, card | {"float32_rounding": checked.rounding}, job.card_hash)
    run.write("model.json", rows)
    job.write(run.job)
    run.write("out/run.json", _make_result(run, imported, checked, files))


def _make_job(
    run: Run,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    card: dict[str, Any],
    checked: Checked,
) -> Job:
    return Job(
        run_id=run.run_id,
        model_id=imported.model_id,
        model=card,
        representations=(IMPORTED,),
        family=IMPORTED,
        dataset=dataset.dataset,
        device=IMPORTED,
        card_hash=hash_card(imported.model_id, checked.dimension),
        replaces_all=True,
        sent=stamp(run.systems),
    )


def _make_result(
    run: Run, imported: ImportedVectors, checked: Checked, files: list[dict[str, Any]]
) -> dict[str, Any]:
    ended = datetime.now(UTC)
    return {
        "run_id": run.run_id,
        "model_id": imported.model_id,
        "status": "ok",
        "device": IMPORTED,
        "device_name": None,
        "driver": None,
        "dtype": "float32",
        "versions": {},
        "weights": {},
        "started": checked.started.isoformat(),
        "finished": ended.isoformat(),
        "seconds": {"total": (ended - checked.started).total_seconds()},
        "peak_memory_bytes": None,
        "counts": {"sent": checked.count, "ok": checked.count, "failed": 0, "not_applicable": 0},
        "vectors": files,
        "outcomes": stamp(run.outcomes),
    }


def _model_rows(imported: ImportedVectors, card: dict[str, Any], card_hash: str) -> dict[str, Any]:
    source = {"file": imported.file.name, "sha256": file_hash(imported.file)}
    row = {
        "model_id": imported.model_id,
        "family": IMPORTED,
        "title": imported.title or f"vectors of {imported.file.name}",
        "input": IMPORTED,
        "default_representation": IMPORTED,
        "untrained_of": None,
        "parameters": None,
        "architecture": None,
        "training_sets": None,
        "license_code": NOT_STATED,
        "license_weights": imported.license or NOT_STATED,
        "card": card | source,
        "card_hash": card_hash,
    }
    return {"model": row, "scores": [], "runtime": IMPORTED}
