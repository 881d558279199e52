"""Find what is missing in the store, and plan the runs that compute it.

What is asked for is cut into chunks (`ingest.runs.chunks.cut`), whatever the store has already. Of
each chunk, a run computes what the store lacks. That is all of the chunk, or nothing, unless a
smaller limit was asked for before or the dataset has changed since; then it is the rest.

A run's id is made from what the run computes: the card with its weights, the code, the
representations, the precision, and the ids and contents of its systems. So a chunk has the same id
on every machine and whenever it is asked for; a rest has another, since it holds other vectors. The
device, the batch budget and the runtime are no part of an id.

Nothing is computed twice. Systems that lack only some of the representations get a run of their
own, for those alone. And before anything new is planned, runs that have begun and that compute
nothing but what is missing are taken over (`ingest.runs.chunks.begun`), also if an earlier version
of matterzoo cut or named them in another way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import duckdb

from ingest.layout import Layout
from ingest.runs.chunks.begun import names_of, take_over_begun
from ingest.runs.chunks.cut import cut_into_chunks, cut_out
from ingest.runs.chunks.whole import WholeChunks
from ingest.runs.folder import Run
from ingest.runs.job_folder import run_folders, write_job
from ingest.runs.request import Request, why_inapplicable
from ingest.runs.store.memory_limit import bytes_per_row, keep_settings, use_one_thread
from ingest.runs.store.waiting import retry_while_locked
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import FILE_ERRORS, StoreError, explain_error
from schemas.store import connect
from zoo.worker.pooling import NODES, split_name

# A failure is an answer too: with the same card, the system would fail again.
LACKING = """
INSERT INTO lacking
WITH answered AS (
    {vectors}
    UNION ALL
    SELECT system_id, content_hash, run_id FROM failures
    WHERE model_id = $model_id AND representation = $representation
), valid AS (
    SELECT system_id, content_hash FROM answered JOIN runs USING (run_id)
    WHERE card_hash = $card_hash AND dtype = $dtype
)
SELECT system_id, content_hash, chunk, $bit::HUGEINT AS bit
FROM wanted ANTI JOIN valid USING (system_id, content_hash)
"""
VECTORS = """
    SELECT system_id, content_hash, run_id FROM embeddings
    WHERE model_id = $model_id AND representation = $representation
"""
NODE_VECTORS = """
    SELECT system_id, content_hash, run_id FROM node_embeddings
    WHERE model_id = $model_id AND representation = split_part($representation, ':', 1)
    AND node = 0
"""
# `lacks` is a set of representations: bit i stands for number i of those that are asked for.
MISSING = """
CREATE TEMP TABLE missing AS
SELECT system_id, content_hash, chunk, bit_or(bit) AS lacks
FROM lacking GROUP BY system_id, content_hash, chunk
"""
PARTS = "SELECT chunk, lacks FROM missing GROUP BY ALL ORDER BY ALL"
SIZES_OF_PARTS = "SELECT chunk, lacks, count(*) FROM missing GROUP BY ALL ORDER BY ALL"
SIZES_OF_CHUNKS = "SELECT chunk, count(*) FROM wanted GROUP BY chunk ORDER BY chunk"
HAS_RUNS = "SELECT 1 FROM runs WHERE card_hash = $card_hash AND dtype = $dtype LIMIT 1"
SENT = """
CREATE OR REPLACE TEMP TABLE sent AS
SELECT system_id, content_hash FROM missing WHERE chunk = $chunk AND lacks = $lacks
"""

# What LACKING reads of a store, for where there is none yet. To make all its tables takes longer
# than to plan.
NO_STORE = """
CREATE TABLE runs (run_id VARCHAR, card_hash VARCHAR, dtype VARCHAR);
CREATE TABLE embeddings (system_id VARCHAR, content_hash VARCHAR, run_id VARCHAR,
    model_id VARCHAR, representation VARCHAR);
CREATE TABLE failures AS FROM embeddings;
CREATE TABLE node_embeddings AS SELECT *, 0 AS node FROM embeddings;
"""


@dataclass(frozen=True)
class Plan:
    """What is to be done for a request.

    Attributes:
        runs: Runs to make, to continue, or (if finished) only to load; none if the store has
            everything already.
        wanted: How many systems are asked for.
        sent: How many of them lack a vector.
    """

    runs: tuple[Run, ...]
    wanted: int
    sent: int

    @property
    def run(self) -> Run | None:
        """The first run, None if there is none."""
        return self.runs[0] if self.runs else None


def count_missing(layout: Layout, request: Request) -> int:
    """Count the systems that lack a vector that is asked for.

    Args:
        layout: The store, which need not exist.
        request: What is asked for.

    Returns:
        How many systems would be embedded.
    """
    with _read_store(layout, request.dataset) as connection:
        return _find_missing(connection, request)


def lacks_any(layout: Layout, request: Request) -> bool:
    """Return whether a request has anything to compute, or nobody knows yet.

    Args:
        layout: The store, which need not exist.
        request: What is asked for.
    """
    if why_inapplicable(request.selection, request.dataset) is not None:
        return False
    try:
        return count_missing(layout, request) > 0
    except StoreError:  # what it lacks is known when its turn comes
        return True


def count_chunks(layout: Layout, requests: Sequence[Request]) -> list[list[int]]:
    """Count the systems that requests lack, chunk by chunk. The dataset is cut once for all.

    Args:
        layout: The store, which need not exist.
        requests: Requests over one dataset, all with the same limit.

    Returns:
        For each request, how many systems each run would embed.
    """
    if not requests:
        return []
    with _read_store(layout, requests[0].dataset) as connection:
        cut_into_chunks(connection, requests[0].dataset.systems, requests[0].systems)
        whole = [n for _, n in connection.execute(SIZES_OF_CHUNKS).fetchall()]
        return [_count_chunks(connection, request, whole) for request in requests]


def _count_chunks(
    connection: duckdb.DuckDBPyConnection, request: Request, whole: list[int]
) -> list[int]:
    if not _has_runs(connection, request):
        return whole
    _compare_with_store(connection, request)
    found = [n for _, _, n in connection.execute(SIZES_OF_PARTS).fetchall()]
    connection.execute("DROP TABLE missing")
    return found


def plan(
    layout: Layout,
    request: Request,
    patience: float = 0.0,
    left: Collection[Run] = (),
    chunks: WholeChunks | None = None,
) -> Plan:
    """Find what is missing and write the jobs for it. The store is read, never written.

    Args:
        layout: The store, which need not exist.
        request: What is asked for.
        patience: How many seconds to wait while another process writes to the store.
        left: Runs whose jobs are left as they are, since others are going to do them.
        chunks: The chunks of a dataset, where several models are planned over it.

    Returns:
        The plan; the same request finds the same runs again.

    Raises:
        StoreError: The store cannot be read.
    """
    with _read_store(layout, request.dataset, patience) as connection:
        if (
            chunks is not None
            and not _has_runs(connection, request)
            and not _begun(layout, request)
        ):
            parts = chunks.of(request.dataset, request.systems)
            names = request.representations
            new = [write_job(layout, request, names, part, left) for part in parts]
            return Plan(tuple(new), request.systems, request.systems)
        missing = _find_missing(connection, request)
        runs = list(take_over_begun(connection, layout, request, left)) if missing else []
        for chunk, lacks in connection.execute(PARTS).fetchall():
            connection.execute(SENT, {"chunk": chunk, "lacks": lacks})
            part = cut_out(connection, request.dataset)
            runs.append(write_job(layout, request, names_of(request, lacks), part, left))
    return Plan(tuple(runs), request.systems, missing)


def _has_runs(connection: duckdb.DuckDBPyConnection, request: Request) -> bool:
    """Return whether the store has anything that a model has computed as the request asks."""
    card = {"card_hash": request.selection.card_hash, "dtype": request.dtype}
    return bool(connection.execute(HAS_RUNS, card).fetchall())


def _begun(layout: Layout, request: Request) -> bool:
    """Return whether a run of the model over the dataset has begun, which may be cut otherwise."""
    runs = run_folders(layout, request.selection.model_id, request.dataset.dataset)
    return any(run.finished or run.shards for run in runs)


@contextmanager
def _read_store(
    layout: Layout, dataset: MaterializedDataset, patience: float = 0.0
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store to be read, or what stands for an empty one if it does not exist."""
    if layout.store.exists():
        opened = retry_while_locked(
            lambda: connect(layout.store, read_only=True), layout.store, patience
        )
    else:
        opened = duckdb.connect()
        opened.execute(NO_STORE)
    with opened as connection, keep_settings(connection):
        row_bytes = bytes_per_row(dataset.systems)
        use_one_thread(connection, dataset.n_systems, row_bytes=row_bytes, times=2)
        with suppress(duckdb.NotImplementedException):  # others of this process use their own
            connection.execute("SET temp_directory = ?", [str(layout.spill)])
        try:
            yield connection
        except FILE_ERRORS as error:  # a damaged block is met when it is read
            raise explain_error(layout.store, error) from error


def _find_missing(connection: duckdb.DuckDBPyConnection, request: Request) -> int:
    """Fill the table `missing` (system_id, content_hash, chunk, lacks).

    Returns:
        The number of its rows.
    """
    cut_into_chunks(connection, request.dataset.systems, request.systems)
    return _compare_with_store(connection, request)


def _compare_with_store(connection: duckdb.DuckDBPyConnection, request: Request) -> int:
    """Fill the table `missing` from the view `wanted`; return the number of its rows."""
    connection.execute(
        "CREATE TEMP TABLE lacking "
        "(system_id VARCHAR, content_hash VARCHAR, chunk BIGINT, bit HUGEINT)"
    )
    card: dict[str, Any] = {
        "model_id": request.selection.model_id,
        "card_hash": request.selection.card_hash,
        "dtype": request.dtype,
    }
    for number, name in enumerate(request.representations):
        vectors = NODE_VECTORS if split_name(name)[1] == NODES else VECTORS
        lacking = LACKING.format(vectors=vectors)
        connection.execute(lacking, card | {"representation": name, "bit": 1 << number})
    connection.execute(MISSING)
    connection.execute("DROP TABLE lacking")
    ((count,),) = connection.execute("SELECT count(*) FROM missing").fetchall()
    return int(count)
