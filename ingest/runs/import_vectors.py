"""Vectors that a user already has: a file of system ids and vectors becomes a finished run, and lands like one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.layout import Layout, escape_glob
from ingest.runs.check import Counts
from ingest.runs.errors import VectorsError
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import name_run
from ingest.runs.precision import SAMPLE, TOO_MUCH, WORTH_SAYING, digits, lost_features, rounding
from ingest.runs.store.memory import memory_limit
from ingest.runs.vector_files import read_vectors
from ingest.systems.dataset import file_hash
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from zoo.cards.discovery import load_models
from zoo.files import fsync
from zoo.worker.job import JOB_VERSION
from zoo.worker.sealed import stamp
from zoo.worker.tables import SHARD, SYSTEMS

GIVEN = "given"  # the family, input, representation, runtime and device of vectors that no worker of ours computed
NOT_STATED = "not stated"
SHARD_ROWS = 1024
LONGEST = 16_384  # numbers in a vector, as far as memory is planned for
MODEL_LETTERS = 100  # of a model's id; it is part of a folder's name, which may have 255 bytes
# Ids may be given in full or without the dataset's name, with which an id of the source may itself begin.
KNOWN = """
CREATE TEMP TABLE known AS
WITH s AS (SELECT system_id, content_hash FROM read_parquet($systems, hive_partitioning = false))
SELECT g.row, g.system_id AS given_id, coalesce(named.system_id, bare.system_id) AS system_id,
       coalesce(named.content_hash, bare.content_hash) AS content_hash
FROM given AS g LEFT JOIN s AS named ON named.system_id = g.system_id
    LEFT JOIN s AS bare ON bare.system_id = $dataset || '/' || g.system_id
"""
# What landing the file removes: this model's vectors on the dataset, and on others where their length was another.
REPLACED = """
SELECT DISTINCT system_id FROM embeddings WHERE model_id = $model_id AND (starts_with(system_id, $dataset || '/')
    OR run_id IN (SELECT run_id FROM runs WHERE card_hash != $card_hash AND model_id = $model_id))
"""
LOSERS = """
SELECT split_part(system_id, '/', 1) AS dataset, count(*) FROM replaced ANTI JOIN known USING (system_id)
GROUP BY dataset ORDER BY dataset
"""
# In order: each finds rows that must not be; (how many, the first ids).
FAULTS = {
    "rows have no system_id": "SELECT row::VARCHAR FROM given WHERE coalesce(system_id, '') = ''",
    "ids are not of dataset {dataset}": "SELECT given_id FROM known WHERE system_id IS NULL",
    "ids appear more than once": "SELECT system_id FROM known GROUP BY system_id HAVING count(*) > 1",
    "systems have no vector": "SELECT system_id FROM given WHERE coalesce(len(vector), 0) = 0",
    "vectors are not {dimension} numbers long, as the first is": (
        "SELECT system_id FROM given WHERE len(vector) != $dimension"
    ),
    "vectors hold a number that is missing or not finite": (
        "SELECT system_id FROM given WHERE len(vector) != list_count(vector) "
        "OR NOT (isfinite(list_min(vector)) AND isfinite(list_max(vector)))"
    ),
    "vectors hold a number too large for float32": (
        f"SELECT system_id FROM given WHERE greatest(list_max(vector), -list_min(vector)) > {np.finfo(np.float32).max}"
    ),
    "vectors are all zeros": "SELECT system_id FROM given WHERE list_min(vector) = 0 AND list_max(vector) = 0",
    "vectors are all zeros in float32, which holds no numbers below 1e-45": (
        "SELECT system_id FROM given WHERE list_min(vector::FLOAT[]) = 0 AND list_max(vector::FLOAT[]) = 0"
    ),
}


@dataclass(frozen=True)
class ImportedVectors:
    """Vectors a user brings. A license is never guessed: without one it is recorded as not stated."""

    model_id: str
    file: Path
    title: str | None = None
    license: str | None = None


def import_vectors(
    layout: Layout,
    brought: ImportedVectors,
    dataset: MaterializedDataset,
    agree: Callable[[dict[str, int]], None] = lambda lost: None,
    log: Callable[[str], None] = print,
) -> tuple[Run, Counts] | None:
    """Check a file of vectors and land it; None where the store has them already. Raises VectorsError.

    Vectors of an earlier file of the same model on the same dataset are replaced. Systems without a vector are simply
    not there. agree: is given how many systems of which datasets would lose their vectors, where any would; what it
    raises keeps what is stored.
    """
    check_model_id(brought.model_id)
    if not brought.file.is_file():
        raise VectorsError(f"there is no file {brought.file}")
    run = Run.of(
        layout,
        name_run(
            brought.model_id, dataset.dataset, [file_hash(brought.file), dataset.dataset_hash]
        ),
    )
    if _is_loaded(layout, run):
        return None
    started = datetime.now(UTC)
    limit = memory_limit(dataset.n_systems, LONGEST)
    with duckdb.connect(
        config={"memory_limit": limit, "temp_directory": str(layout.spill)}
    ) as connection:
        read_vectors(connection, brought.file, dataset.n_systems)
        dimension = _check(connection, brought, dataset)
        lost = _check_precision(connection, brought, log)
        if losers := _losers(connection, layout, brought, dataset, dimension):
            agree(losers)
        count = _write(connection, run, brought, dataset, dimension)
    _describe(run, brought, dataset, dimension, count, started, lost)
    return run, load(layout, run)


def check_model_id(model_id: str) -> None:
    """Refuse an id that does not look like one, or that the zoo has."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", model_id):
        raise VectorsError(
            f"{model_id!r} cannot be a model's id; expected a-z, 0-9, '.' and '-', such as my-model"
        )
    if len(model_id) > MODEL_LETTERS:
        raise VectorsError(
            f"a model's id of {len(model_id)} letters is too long; expected at most {MODEL_LETTERS}"
        )
    if model_id in load_models():
        raise VectorsError(
            f"{model_id} is a model of the zoo; give your vectors another id, such as my-{model_id}"
        )


def _is_loaded(layout: Layout, run: Run) -> bool:
    if not (run.finished and layout.store.exists()):
        return False
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT count(*) FROM embeddings WHERE run_id = ?"
        ((stored,),) = connection.execute(query, [run.run_id]).fetchall()
    return bool(stored == run.read("out/run.json")["counts"]["ok"])


def _losers(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    brought: ImportedVectors,
    dataset: MaterializedDataset,
    dimension: int,
) -> dict[str, int]:
    """Count, by dataset, the systems whose vector in the store would go and for which the file has none."""
    if not layout.store.exists():
        return {}
    values = {
        "model_id": brought.model_id,
        "dataset": dataset.dataset,
        "card_hash": card_hash(brought, dimension),
    }
    with connect(layout.store, read_only=True) as store:
        stored = store.execute(REPLACED, values).to_arrow_table()
    connection.register("replaced", stored)
    return dict(connection.execute(LOSERS).fetchall())


def _check(
    connection: duckdb.DuckDBPyConnection, brought: ImportedVectors, dataset: MaterializedDataset
) -> int:
    """Refuse what cannot land. Returns the vectors' length."""
    values = {"systems": escape_glob(dataset.systems), "dataset": dataset.dataset}
    connection.execute(KNOWN, values)
    first = connection.execute("SELECT len(vector) FROM given ORDER BY row LIMIT 1").fetchone()
    if first is None:
        raise VectorsError(f"{brought.file} holds no rows")
    facts = {"dataset": dataset.dataset, "dimension": first[0]}
    for what, query in FAULTS.items():
        limits = {"dimension": first[0]} if "$dimension" in query else {}
        found = f"SELECT count(*), list(c0 ORDER BY c0)[:3] FROM ({query}) AS faults(c0)"
        count, ids = connection.execute(found, limits).fetchall()[0]
        if count:
            shown = ", ".join(ids) + (", …" if count > len(ids) else "")
            raise VectorsError(
                f"{brought.file}: {count} {what.format(**facts)}: {shown}. Nothing was stored"
            )
    return int(first[0])


def _check_precision(
    connection: duckdb.DuckDBPyConnection, brought: ImportedVectors, log: Callable[[str], None]
) -> float:
    """Refuse vectors that lose too much as float32, and say what others lose. Returns the part of their spread."""
    sample = f"SELECT vector FROM given WHERE row % greatest(1, (SELECT count(*) FROM given) // {SAMPLE}) = 0"
    lists = (
        connection.execute(f"{sample} ORDER BY row LIMIT {SAMPLE}")
        .to_arrow_table()
        .column("vector")
    )
    vectors = lists.combine_chunks().values.to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    lost = rounding(vectors)
    if lost > TOO_MUCH:
        raise VectorsError(
            f"{brought.file}: float32, in which vectors are stored, would move these by {100 * lost:.3g} % of how far "
            f"they lie apart (at most {100 * TOO_MUCH:g} % is taken), which changes metrics. Subtract one vector, such "
            "as the mean, from all: that changes nothing under normalize := 'none', but cosines ('l2') become those "
            "about that vector. Nothing was stored"
        )
    if lost > WORTH_SAYING:
        log(f"  warning: of how these vectors differ, float32 keeps about {digits(lost)} digits")
    if gone := lost_features(vectors):
        log(
            f"  warning: float32 does not keep how {gone} of {vectors.shape[1]} components differ; normalize := "
            "'zscore' would make that rounding as large as the others: subtract a component's mean first"
        )
    return lost


def _write(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    brought: ImportedVectors,
    dataset: MaterializedDataset,
    dimension: int,
) -> int:
    """The systems and the shards of the run, as if a worker had been sent exactly these."""
    run.job.mkdir(parents=True, exist_ok=True)
    run.out.mkdir(exist_ok=True)
    sent = f"SELECT {', '.join(SYSTEMS.names)} FROM read_parquet(?, hive_partitioning = false)"
    query = f"{sent} SEMI JOIN known USING (system_id)"
    systems = connection.execute(query, [escape_glob(dataset.systems)]).to_arrow_reader(SHARD_ROWS)
    with pq.ParquetWriter(
        run.systems, SYSTEMS, compression="zstd", write_page_checksum=True
    ) as writer:
        for batch in systems:
            writer.write_table(pa.Table.from_batches([batch]).cast(SYSTEMS))
    rows = connection.execute(
        "SELECT k.system_id, content_hash, ? AS representation, 'ok' AS status, NULL::VARCHAR AS reason, "
        "vector::FLOAT[] AS vector, NULL::DOUBLE AS energy FROM given JOIN known AS k USING (row)",
        [GIVEN],
    ).to_arrow_reader(SHARD_ROWS)
    metadata = {
        "run_id": run.run_id,
        "model_id": brought.model_id,
        "card_hash": card_hash(brought, dimension),
    }
    count = 0
    shard = run.out / "shard-00000.parquet"
    with pq.ParquetWriter(shard, SHARD.with_metadata(metadata), write_page_checksum=True) as writer:
        for batch in rows:
            writer.write_table(pa.Table.from_batches([batch]).cast(SHARD))
            count += batch.num_rows
    for file in (run.systems, shard):
        fsync(file)
    return count


def card_hash(brought: ImportedVectors, dimension: int) -> str:
    """Vectors of one model under one card: where the length changes, those of before are of another model."""
    return hashlib.sha256(json.dumps([brought.model_id, GIVEN, dimension]).encode()).hexdigest()


def _describe(
    run: Run,
    brought: ImportedVectors,
    dataset: MaterializedDataset,
    dimension: int,
    count: int,
    started: datetime,
    lost: float,
) -> None:
    """The JSON files of a run, run.json last: with it the run is finished."""
    card = {
        "id": brought.model_id,
        "input": GIVEN,
        "representation": [{"name": GIVEN, "dimension": dimension}],
    }
    names = {"run_id": run.run_id, "model_id": brought.model_id}
    job: dict[str, Any] = {
        "job_version": JOB_VERSION,
        "family": GIVEN,
        "model": card,
        "untrained_seed": None,
        "representations": [GIVEN],
        "dataset": dataset.dataset,
        "device": GIVEN,
        "dtype": "float32",
        "card_hash": card_hash(brought, dimension),
        "encoder_hash": None,
        "lock_hash": None,
        "replaces_all": True,
        "sent": stamp(run.systems),
    }
    made = {
        "status": "ok",
        "device": GIVEN,
        "device_name": None,
        "driver": None,
        "dtype": "float32",
        "versions": {},
        "weights": {},
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "seconds": {"total": (datetime.now(UTC) - started).total_seconds()},
        "peak_memory_bytes": None,
        "counts": {"sent": count, "ok": count, "failed": 0, "not_applicable": 0},
        "shards": {shard.name: stamp(shard) for shard in run.shards},
    }
    run.write(
        "model.json", _model_rows(brought, card | {"float32_rounding": lost}, job["card_hash"])
    )
    run.write("job/job.json", names | job)
    run.write("out/run.json", names | made)


def _model_rows(brought: ImportedVectors, card: dict[str, Any], its_hash: str) -> dict[str, Any]:
    given = {"file": brought.file.name, "sha256": file_hash(brought.file)}
    row = {
        "model_id": brought.model_id,
        "family": GIVEN,
        "title": brought.title or f"vectors of {brought.file.name}",
        "input": GIVEN,
        "default_representation": GIVEN,
        "untrained_of": None,
        "parameters": None,
        "architecture": None,
        "training_sets": None,
        "license_code": NOT_STATED,
        "license_weights": brought.license or NOT_STATED,
        "card": card | given,
        "card_hash": its_hash,
    }
    return {"model": row, "scores": [], "runtime": GIVEN}
