"""Find what is missing in the store, and plan the run that computes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.job_folder import write_job
from ingest.runs.request import Request
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.store.waiting import retry_while_locked
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.sample import ORDER_IN_SQL
from schemas.errors import FILE_ERRORS, explain_error
from schemas.paths import MEMORY, escape_glob
from schemas.store import connect

WANTED = f"""
CREATE TEMP TABLE wanted AS
SELECT system_id, content_hash FROM read_parquet($systems, hive_partitioning = false)
ORDER BY {ORDER_IN_SQL}
LIMIT $limit
"""
# A failure is an answer too: with the same card, the system would fail again.
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
class Plan:
    """What is to be done for a request.

    Attributes:
        run: A run to make, to continue, or (if finished) only to load; None if the store has
            everything already.
        wanted: How many systems are asked for.
        sent: How many of them lack a vector.
    """

    run: Run | None
    wanted: int
    sent: int


def count_missing(layout: Layout, request: Request) -> int:
    """Count the systems that lack a vector that is asked for.

    Args:
        layout: The store, which need not exist.
        request: What is asked for.

    Returns:
        How many systems would be embedded.
    """
    with _read_store(layout, request.dataset) as connection:
        _find_missing(connection, request)
        return _count(connection, "sent")


def plan(layout: Layout, request: Request, patience: float = 0.0) -> Plan:
    """Find what is missing and write the job for it. The store is read, never written.

    Args:
        layout: The store, which need not exist.
        request: What is asked for.
        patience: How many seconds to wait while another process writes to the store.

    Returns:
        The plan; the same request finds the same run again.

    Raises:
        StoreError: The store cannot be read.
    """
    with _read_store(layout, request.dataset, patience) as connection:
        lacking = _find_missing(connection, request)
        sent = _count(connection, "sent")
        if not sent:
            return Plan(None, request.systems, 0)
        run = write_job(connection, layout, request, lacking, sent)
    return Plan(run, request.systems, sent)


@contextmanager
def _read_store(
    layout: Layout, dataset: MaterializedDataset, patience: float = 0.0
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store to be read, or an empty one if it does not exist."""
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
    """Fill the table `sent` with the systems to embed.

    Returns:
        The representations that lack at least one system.
    """
    systems = escape_glob(request.dataset.systems)
    connection.execute(WANTED, {"systems": systems, "limit": request.systems})
    connection.execute("CREATE TEMP TABLE sent (system_id VARCHAR, content_hash VARCHAR)")
    card: dict[str, Any] = {
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


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)
