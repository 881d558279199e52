"""Open the store for writing, by one process at a time and with DuckDB's memory bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from ingest.layout import Layout
from ingest.runs.store.memory_limit import bytes_per_row, use_one_thread
from ingest.runs.store.waiting import retry_while_locked
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError, in_use
from schemas.message import one_line
from schemas.store import connect
from zoo.files import LockHeldError, file_lock

LOCK = ".lock"  # in the data folder; holds the process id of the one that writes to the store
THREADS = 2  # of what copies whole stores; each holds row groups of its own


class CheckpointError(StoreError):
    """A change is committed in the store's log, and could not yet go into the store's file."""


@contextmanager
def lock_store(
    layout: Layout, patience: float = 0.0, log: Callable[[str], None] = print
) -> Iterator[None]:
    """Be the one process that writes to the store while the `with` block lasts.

    The lock lies beside the store and not on it, because the store's file may be replaced while
    the lock is held: a process that waited for DuckDB's own lock would write into the old file.

    Args:
        layout: The store and the files beside it.
        patience: How many seconds to wait for another process.
        log: Gets one line, if there is something to wait for.

    Yields:
        Nothing, once the lock is held.

    Raises:
        StoreLocked: Another process held the lock all the time.
    """
    layout.claim()
    with ExitStack() as held:
        try:
            lock = file_lock(
                layout.data / LOCK,
                wait=patience,
                on_wait=lambda holder: log(_describe_wait(layout, patience, holder)),
            )
            held.enter_context(lock)
        except LockHeldError as error:
            raise in_use(layout.store, error.holder, read_only=True) from None
        yield


@contextmanager
def open_store(
    layout: Layout, patience: float = 0.0, log: Callable[[str], None] = print
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store for writing by this process alone.

    Args:
        layout: The store and the files beside it.
        patience: How many seconds to wait for other processes.
        log: Gets one line, if there is something to wait for.

    Yields:
        A connection with bounded memory.

    Raises:
        StoreError: The store cannot be opened or written; it is as it was.
    """
    with lock_store(layout, patience, log), open_locked(layout, patience, log) as connection:
        yield connection


@contextmanager
def open_locked(
    layout: Layout,
    patience: float = 0.0,
    log: Callable[[str], None] = print,
    spill: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open for writing a store that this process has locked.

    Args:
        layout: The store and the files beside it.
        patience: How many seconds to wait for processes that read.
        log: Gets one line, if there is something to wait for.
        spill: Where DuckDB puts what exceeds its memory; beside the store by default.

    Yields:
        A connection with bounded memory.

    Raises:
        StoreError: The store cannot be opened or written; it is as it was.
    """
    connection = retry_while_locked(lambda: connect(layout.store), layout.store, patience, log)
    try:
        bound_resources(connection)
        connection.execute("SET temp_directory = ?", [str(spill or layout.spill)])
        # else whole row groups wait for their turn
        connection.execute("SET preserve_insertion_order = false")
        yield connection
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        reason = one_line(error)
        raise StoreError(
            f"{layout.store} could not be written and is as it was: {reason}"
        ) from error
    finally:
        connection.close()


def bound_resources(
    connection: duckdb.DuckDBPyConnection,
    dataset: MaterializedDataset | None = None,
    dimension: int = 0,
    times: int = 1,
) -> None:
    """Set DuckDB's memory limit and threads to what the systems in the store, and more, need.

    Args:
        connection: An open store.
        dataset: The dataset that is going to be there.
        dimension: The length of the longest vector that is going to be written.
        times: How many times that memory is allowed.
    """
    name = "" if dataset is None else dataset.dataset
    query = "SELECT count(*), count(*) FILTER (dataset = ?) FROM systems"
    ((stored, same),) = connection.execute(query, [name]).fetchall()
    systems, row_bytes = stored, 0
    if dataset is not None:
        systems, row_bytes = stored - same + dataset.n_systems, bytes_per_row(dataset.systems)
    use_one_thread(connection, systems, dimension, row_bytes, times)


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the `with` block does, or none of it if it raises.

    Args:
        connection: An open store.

    Yields:
        Nothing.
    """
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def checkpoint(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Bring what is committed from the store's log into the store's own file.

    Args:
        connection: The open store.
        layout: The store and the files beside it.

    Raises:
        CheckpointError: The file could not be written; nothing is lost.
    """
    try:
        connection.execute("CHECKPOINT")
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise CheckpointError(
            f"the change of {layout.store} is committed and safe in {layout.store.name}.wal, but "
            f"could not be taken over into the file itself: {one_line(error)}. Leave both as they "
            "are, free space on their disk, and repeat the command: it continues from there"
        ) from error


def _describe_wait(layout: Layout, patience: float, holder: str) -> str:
    return f"waiting up to {patience:.0f} s: {in_use(layout.store, holder, read_only=True)}"
