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
from zipfile import BadZipFile

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.layout import Layout, Run, glob_free, memory_limit
from ingest.load import land
from ingest.plan import name_run
from ingest.shards import Counts
from ingest.systems import SYSTEMS, Materialised, file_hash
from schemas.store import connect
from zoo.card import load_models
from zoo.worker import JOB_VERSION, SHARD, stamp, sync

GIVEN = "given"  # the family, input, representation, runtime and device of vectors that no worker of ours computed
NOT_STATED = "not stated"
SHARD_ROWS = 1024
LONGEST = 16_384  # numbers in a vector, as far as memory is planned for
FORMATS = (".parquet", ".npz", ".csv")
# Ids may be given in full or without the dataset's name.
KNOWN = """
CREATE TEMP TABLE known AS
SELECT g.row, g.system_id AS given_id, s.system_id, s.content_hash
FROM given AS g LEFT JOIN read_parquet($systems, hive_partitioning = false) AS s
    ON s.system_id = CASE WHEN starts_with(g.system_id, $dataset || '/') THEN g.system_id
                          ELSE $dataset || '/' || g.system_id END
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
        "SELECT system_id FROM given WHERE len(vector) != list_count(vector) OR NOT isfinite(list_sum(vector))"
    ),
    "vectors hold a number too large for float32": (
        "SELECT system_id FROM given WHERE greatest(list_max(vector), -list_min(vector)) > 3.4028234e38"
    ),
    "vectors are all zeros": "SELECT system_id FROM given WHERE list_min(vector) = 0 AND list_max(vector) = 0",
}


class VectorsError(Exception):
    """A file of vectors that cannot land; the message says what is wrong with it."""


@dataclass(frozen=True)
class Brought:
    """Vectors a user brings. A licence is never guessed: without one it is recorded as not stated."""

    model_id: str
    file: Path
    title: str | None = None
    licence: str | None = None


def land_vectors(
    layout: Layout,
    brought: Brought,
    dataset: Materialised,
    agree: Callable[[int, int], None] = lambda there, given: None,
) -> tuple[Run, Counts] | None:
    """Check a file of vectors and land it; None where the store has them already. Raises VectorsError.

    Vectors of an earlier file of the same model on the same dataset are replaced. Systems without a vector are simply
    not there. agree: is given how many vectors are stored and how many the file has; what it raises keeps the stored.
    """
    check_model_id(brought.model_id)
    if not brought.file.is_file():
        raise VectorsError(f"there is no file {brought.file}")
    run = layout.run(name_run(brought.model_id, dataset.dataset, [file_hash(brought.file), dataset.dataset_hash]))
    if _landed(layout, run):
        return None
    started = datetime.now(UTC)
    limit = memory_limit(dataset.n_systems, LONGEST)
    with duckdb.connect(config={"memory_limit": limit, "temp_directory": str(layout.spill)}) as connection:
        _read(connection, brought.file)
        dimension = _check(connection, brought, dataset)
        ((given,),) = connection.execute("SELECT count(*) FROM given").fetchall()
        agree(_stored(layout, brought.model_id, dataset.dataset), given)
        count = _write(connection, run, brought, dataset, dimension)
    _describe(run, brought, dataset, dimension, count, started)
    return run, land(layout, run)


def check_model_id(model_id: str) -> None:
    """Refuse an id that does not look like one, or that the zoo has."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", model_id):
        raise VectorsError(f"{model_id!r} cannot be a model's id; expected a-z, 0-9, '.' and '-', such as my-model")
    if model_id in load_models():
        raise VectorsError(f"{model_id} is a model of the zoo; give your vectors another id, such as my-{model_id}")


def _landed(layout: Layout, run: Run) -> bool:
    if not (run.finished and layout.store.exists()):
        return False
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT count(*) FROM embeddings WHERE run_id = ?"
        ((stored,),) = connection.execute(query, [run.run_id]).fetchall()
    return bool(stored == run.read("out/run.json")["counts"]["ok"])


def _stored(layout: Layout, model_id: str, dataset: str) -> int:
    """Return how many vectors of the model on the dataset the store holds."""
    if not layout.store.exists():
        return 0
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT count(*) FROM embeddings WHERE model_id = ? AND starts_with(system_id, ? || '/')"
        ((stored,),) = connection.execute(query, [model_id, dataset]).fetchall()
    return int(stored)


def _read(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make `given` (row, system_id, vector) from the file."""
    readers = {".parquet": _read_parquet, ".npz": _read_npz, ".csv": _read_csv}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise VectorsError(f"{file} is of no format known here; expected {', '.join(FORMATS)}")
    try:
        reader(connection, file)
    except (duckdb.Error, OSError, ValueError, BadZipFile) as error:
        raise VectorsError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error


def _read_parquet(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    _require(file, pq.read_schema(file).names)
    _give(connection, "system_id", "vector", "read_parquet(?, hive_partitioning = false)", [glob_free(file)])


def _read_csv(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """The first column is system_id, every other one a component of the vector."""
    table = "read_csv(?, header = true, all_varchar = true, delim = ',')"
    names = [row[0] for row in connection.execute(f"DESCRIBE FROM {table}", [str(file)]).fetchall()]
    if names[0] != "system_id" or len(names) < 2:
        found = ", ".join(names[:4])
        raise VectorsError(f"{file}: expected a header line system_id, then the vector's columns; found {found}")
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names[1:])
    _give(connection, "system_id", f"[{quoted}]", table, [str(file)])


def _read_npz(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    with np.load(file, allow_pickle=False) as arrays:
        _require(file, list(arrays))
        ids, vectors = arrays["system_id"], arrays["vector"]
    if vectors.ndim != 2 or ids.shape != vectors.shape[:1] or not np.issubdtype(vectors.dtype, np.number):
        shapes = f"{ids.shape} and {vectors.shape} of {vectors.dtype}"
        raise VectorsError(f"{file}: expected system_id of shape (n,) and vector of shape (n, d), found {shapes}")
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float64).ravel())
    rows = pa.table([pa.array(ids.astype(str)), pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])], ["id", "v"])
    connection.register("rows", rows)
    _give(connection, "id", "v", "rows", [])
    connection.unregister("rows")


def _give(connection: duckdb.DuckDBPyConnection, ids: str, vector: str, source: str, values: list[str]) -> None:
    # DOUBLE, so that what is too large for float32 is found by the check and named; the cast to FLOAT would only raise.
    connection.execute(
        f"CREATE TEMP TABLE given AS SELECT row_number() OVER () AS row, {ids}::VARCHAR AS system_id, "
        f"{vector}::DOUBLE[] AS vector FROM {source}",
        values,
    )


def _require(file: Path, names: list[str]) -> None:
    missing = [name for name in ("system_id", "vector") if name not in names]
    if missing:
        raise VectorsError(f"{file} has no {' and no '.join(missing)}; it has {', '.join(names[:8]) or 'nothing'}")


def _check(connection: duckdb.DuckDBPyConnection, brought: Brought, dataset: Materialised) -> int:
    """Refuse what cannot land. Returns the vectors' length."""
    values = {"systems": glob_free(dataset.systems), "dataset": dataset.dataset}
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
            raise VectorsError(f"{brought.file}: {count} {what.format(**facts)}: {shown}. Nothing was stored")
    return int(first[0])


def _write(
    connection: duckdb.DuckDBPyConnection, run: Run, brought: Brought, dataset: Materialised, dimension: int
) -> int:
    """The systems and the shards of the run, as if a worker had been sent exactly these."""
    run.job.mkdir(parents=True, exist_ok=True)
    run.out.mkdir(exist_ok=True)
    sent = f"SELECT {', '.join(SYSTEMS.names)} FROM read_parquet(?, hive_partitioning = false)"
    query = f"{sent} SEMI JOIN known USING (system_id)"
    systems = connection.execute(query, [glob_free(dataset.systems)]).to_arrow_reader(SHARD_ROWS)
    with pq.ParquetWriter(run.systems, SYSTEMS, compression="zstd", write_page_checksum=True) as writer:
        for batch in systems:
            writer.write_table(pa.Table.from_batches([batch]).cast(SYSTEMS))
    rows = connection.execute(
        "SELECT k.system_id, content_hash, ? AS representation, 'ok' AS status, NULL::VARCHAR AS reason, "
        "vector::FLOAT[] AS vector, NULL::DOUBLE AS energy FROM given JOIN known AS k USING (row)",
        [GIVEN],
    ).to_arrow_reader(SHARD_ROWS)
    metadata = {"run_id": run.run_id, "model_id": brought.model_id, "card_hash": card_hash(brought, dimension)}
    count = 0
    shard = run.out / "shard-00000.parquet"
    with pq.ParquetWriter(shard, SHARD.with_metadata(metadata), write_page_checksum=True) as writer:
        for batch in rows:
            writer.write_table(pa.Table.from_batches([batch]).cast(SHARD))
            count += batch.num_rows
    for file in (run.systems, shard):
        sync(file)
    return count


def card_hash(brought: Brought, dimension: int) -> str:
    """Vectors of one model under one card: where the length changes, those of before are of another model."""
    return hashlib.sha256(json.dumps([brought.model_id, GIVEN, dimension]).encode()).hexdigest()


def _describe(run: Run, brought: Brought, dataset: Materialised, dimension: int, count: int, started: datetime) -> None:
    """The JSON files of a run, run.json last: with it the run is finished."""
    card = {"id": brought.model_id, "input": GIVEN, "representation": [{"name": GIVEN, "dimension": dimension}]}
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
    run.write("model.json", _model_rows(brought, card, job["card_hash"]))
    run.write("job/job.json", names | job)
    run.write("out/run.json", names | made)


def _model_rows(brought: Brought, card: dict[str, Any], its_hash: str) -> dict[str, Any]:
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
        "licence_code": NOT_STATED,
        "licence_weights": brought.licence or NOT_STATED,
        "card": card | given,
        "card_hash": its_hash,
    }
    return {"model": row, "scores": [], "runtime": GIVEN}
