"""What is missing in the store, and the job that gets it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.integrity import Damaged, check_file
from ingest.layout import Layout, escape_glob
from ingest.runs.errors import RequestError
from ingest.runs.folder import Run
from ingest.runs.store.memory import memory_limit
from ingest.runs.store.waiting import retry_while_locked
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.sample import ORDER_IN_SQL
from ingest.systems.tables import ROW_GROUP
from schemas.errors import FILE_ERRORS, explain_error
from schemas.paths import MEMORY
from schemas.store import connect
from zoo.cards.family import Selection
from zoo.cards.twins import TWIN
from zoo.files import write_atomically
from zoo.worker.applicability import REQUIRED_FIELDS
from zoo.worker.job import JOB_VERSION
from zoo.worker.sealed import stamp
from zoo.worker.tables import SYSTEMS

WANTED = f"""
CREATE TEMP TABLE wanted AS
SELECT system_id, content_hash FROM read_parquet($systems, hive_partitioning = false)
ORDER BY {ORDER_IN_SQL}
LIMIT $limit
"""
# A failure is an answer too: the same card would fail again.
MISSING = """
CREATE TEMP TABLE missing AS
WITH answered AS (
    SELECT system_id, content_hash, run_id FROM embeddings
    WHERE model_id = $model_id AND representation = $representation
    UNION ALL
    SELECT system_id, content_hash, run_id FROM failures
    WHERE model_id = $model_id AND representation = $representation
), valid AS (
    SELECT system_id, content_hash FROM answered JOIN runs USING (run_id)
    WHERE card_hash = $card_hash AND dtype = $dtype
)
SELECT system_id, content_hash FROM wanted ANTI JOIN valid USING (system_id, content_hash)
"""


@dataclass(frozen=True)
class Request:
    """What a user asks for: vectors of a model over a dataset."""

    selection: Selection
    dataset: MaterializedDataset
    representations: tuple[str, ...]
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch: int | None = None

    @property
    def systems(self) -> int:
        """How many systems are asked for."""
        return (
            self.dataset.n_systems
            if self.limit is None
            else min(self.limit, self.dataset.n_systems)
        )


@dataclass(frozen=True)
class Plan:
    """A run to make, to go on with, or (finished) only to land; None where the store has everything already."""

    run: Run | None
    wanted: int
    sent: int


def choose_representations(selection: Selection, asked: str | None) -> tuple[str, ...]:
    """The representations a user means: the card's default, 'all', or names separated by commas."""
    names = [r.name for r in selection.model.representation]
    if asked is None:
        return (selection.model.default_representation,)
    chosen = names if asked == "all" else asked.split(",")
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise RequestError(
            f"{selection.model.id} has no representation {unknown[0]!r}; it has {', '.join(names)}"
        )
    return tuple(name for name in names if name in chosen)


def why_inapplicable(selection: Selection, dataset: MaterializedDataset) -> str | None:
    """Why a model can take no system of a dataset at all, None where it can."""
    columns = REQUIRED_FIELDS.get(selection.model.input)
    if columns is None:
        return None
    with duckdb.connect() as connection:
        query = f"SELECT count({columns[0]}) FROM read_parquet(?, hive_partitioning = false)"
        ((given,),) = connection.execute(query, [escape_glob(dataset.systems)]).fetchall()
    return (
        None
        if given
        else f"it takes a {selection.model.input}, and no system of {dataset.dataset} has one"
    )


def count_missing(layout: Layout, request: Request) -> int:
    """How many systems lack a vector that is wished for."""
    with _store(layout, request.dataset) as connection:
        _find_missing(connection, request)
        return _count(connection, "sent")


def plan(layout: Layout, request: Request, patience: float = 0.0) -> Plan:
    """Find what is missing and write the job for it. The store is read, never written; it need not exist.

    patience: how many seconds to wait while another process writes to the store.
    """
    with _store(layout, request.dataset, patience) as connection:
        lacking = _find_missing(connection, request)
        sent = _count(connection, "sent")
        if not sent:
            return Plan(None, request.systems, 0)
        job = _job(request, lacking, _fingerprint(connection))
        run = Run.of(layout, job["run_id"])
        job["sent"] = _ensure_systems(connection, request.dataset, sent, run)
    run.write("model.json", model_rows(request.selection))
    run.write("job/job.json", job)
    return Plan(run, request.systems, sent)


@contextmanager
def _store(
    layout: Layout, dataset: MaterializedDataset, patience: float = 0.0
) -> Iterator[duckdb.DuckDBPyConnection]:
    exists = layout.store.exists()
    store = layout.store if exists else MEMORY
    with retry_while_locked(
        lambda: connect(store, read_only=exists), layout.store, patience
    ) as connection:
        connection.execute(f"SET memory_limit = '{memory_limit(dataset.n_systems)}'")
        connection.execute("SET temp_directory = ?", [str(layout.spill)])
        try:
            yield connection
        except FILE_ERRORS as error:  # a damaged block is met when it is read
            raise explain_error(layout.store, error) from error


def _find_missing(connection: duckdb.DuckDBPyConnection, request: Request) -> list[str]:
    """Fill table `sent` with the systems to send. Returns the representations that lack at least one of them."""
    values: dict[str, Any] = {
        "systems": escape_glob(request.dataset.systems),
        "limit": request.systems,
    }
    connection.execute(WANTED, values)
    connection.execute("CREATE TEMP TABLE sent (system_id VARCHAR, content_hash VARCHAR)")
    card = {
        "model_id": request.selection.model_id,
        "card_hash": request.selection.card_hash,
        "dtype": request.dtype,
    }
    lacking = []
    for name in request.representations:
        connection.execute(MISSING, card | {"representation": name})
        if _count(connection, "missing"):
            lacking.append(name)
        connection.execute("INSERT INTO sent FROM missing ANTI JOIN sent USING (system_id)")
        connection.execute("DROP TABLE missing")
    return lacking


def _fingerprint(connection: duckdb.DuckDBPyConnection) -> str:
    """sha256 over the ids and content hashes of the systems sent."""
    digest = hashlib.sha256()
    for row in _rows(
        connection.execute("SELECT system_id, content_hash FROM sent ORDER BY system_id")
    ):
        digest.update("\t".join(row).encode() + b"\n")
    return digest.hexdigest()


def _job(request: Request, representations: list[str], systems_hash: str) -> dict[str, Any]:
    """job.json. Its run_id is made from all that decides the vectors, so a run that died is found again."""
    selection = request.selection
    deciding = {
        "family": selection.family.name,
        "model_id": selection.model_id,
        "untrained_seed": selection.untrained_seed,
        "representations": representations,
        "dataset": request.dataset.dataset,
        "dtype": request.dtype,
        "seed": 0,
        "card_hash": selection.card_hash,
        "encoder_hash": selection.family.encoder_hash,
        "lock_hash": selection.family.lock_hash,
    }
    run_id = name_run(
        selection.model_id,
        request.dataset.dataset,
        [deciding, request.device.split(":")[0], systems_hash],
    )
    rest = {"model": selection.model.for_worker(), "device": request.device, "batch": request.batch}
    return {"job_version": JOB_VERSION, "run_id": run_id} | deciding | rest


def name_run(model_id: str, dataset: str, deciding: Any) -> str:
    """'<model>--<dataset>--<12 hex digits>', safe as the name of a folder."""
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    return re.sub(r"[^A-Za-z0-9.@_-]", "_", f"{model_id}--{dataset}") + f"--{digest[:12]}"


def _ensure_systems(
    connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset, sent: int, run: Run
) -> dict[str, Any]:
    """systems.parquet of the job, as an earlier start of the same run wrote it or made now. Returns its stamp."""
    stated = _stated(run)
    if run.systems.exists():
        try:
            if stated is not None:
                check_file(run.systems, stated)
            return stated or stamp(run.systems)
        except Damaged:  # the dataset is whole, so it can be made again
            run.systems.unlink()
    _write_systems(connection, dataset, sent, run.systems)
    found = stamp(run.systems)
    if stated not in (None, found) and run.shards:
        raise Damaged(
            f"{run.systems} is damaged, and its shards follow its order; remove {run.folder} and repeat"
        )
    return found


def _stated(run: Run) -> dict[str, Any] | None:
    """The stamp of the systems that an earlier start of the run has noted."""
    try:
        found: dict[str, Any] | None = run.read("job/job.json").get("sent")
    except Damaged:  # also where there is no earlier one
        return None
    return found


def _write_systems(
    connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset, sent: int, path: Path
) -> None:
    """systems.parquet of the job: the dataset's own file where all are sent, else a filtered copy, in its order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(SYSTEMS.names)
    query = f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false) SEMI JOIN sent USING (system_id)"

    def write(temporary: Path) -> None:
        temporary.unlink(missing_ok=True)
        if sent == dataset.n_systems and _linked(dataset.systems, temporary):
            return
        connection.execute("SET threads = 1")  # several would mix up the order
        reader = connection.execute(query, [escape_glob(dataset.systems)]).to_arrow_reader(
            ROW_GROUP
        )
        with pq.ParquetWriter(
            temporary, SYSTEMS, compression="zstd", write_page_checksum=True
        ) as writer:
            for batch in reader:
                writer.write_table(
                    pa.Table.from_batches([batch]).cast(SYSTEMS), row_group_size=ROW_GROUP
                )

    write_atomically(path, write)


def _linked(source: Path, target: Path) -> bool:
    """Make a hard link, where the file system knows them."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def model_rows(selection: Selection) -> dict[str, Any]:
    """The rows of tables `models` and `scores` that a card gives; they travel with the run."""
    model, family = selection.model, selection.family
    about = model.provenance
    row = {
        "model_id": selection.model_id,
        "family": family.name,
        "title": model.title + (" (untrained twin)" if selection.untrained else ""),
        "input": model.input,
        "default_representation": model.default_representation,
        "untrained_of": model.id if selection.model_id.endswith(TWIN) else None,
        "parameters": model.compute.parameters,
        "architecture": about.architecture,
        "training_sets": [] if selection.untrained else list(about.training_sets),
        "license_code": family.license_code.name,
        "license_weights": "none: drawn at random"
        if selection.untrained
        else model.license_weights.name,
        "card": model.model_dump(mode="json"),
        "card_hash": selection.card_hash,
    }
    scores = [] if selection.untrained else [score.model_dump(mode="json") for score in model.score]
    return {"model": row, "scores": scores}


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)


def _rows(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(10_000):
        yield from rows
