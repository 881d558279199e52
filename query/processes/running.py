"""Tasks on a store, done by this process and by helpers that open the same store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

import duckdb
import torch

from query.engine.devices import share_memory
from query.processes.agenda import Agenda, Outcome, Task
from query.processes.helpers import Helper, Helpers
from query.processes.helping import Share, take_share
from query.reading.files import store_path, store_with_files
from query.sql.memory import LIMIT
from query.statements import keep_answers
from schemas.paths import MEMORY

_READ_ONLY = "SELECT readonly FROM duckdb_databases() WHERE database_name = current_database()"
_SETTINGS = """
SELECT current_setting('threads'), parse_formatted_bytes(current_setting('memory_limit'))
"""


def run_tasks(
    connection: duckdb.DuckDBPyConnection,
    tasks: Iterable[Task],
    then: Callable[[Task, Outcome], Iterable[Task]],
    helpers: Helpers | None = None,
) -> None:
    """Do all tasks, and those that follow from them.

    Args:
        connection: A connection to a store, with our functions. Unless it reads a file that
            other processes can read, too, this process does all tasks.
        tasks: The tasks.
        then: Called with each task and what came of it, one at a time; it returns tasks that
            follow.
        helpers: Processes that help this one; None if it does all tasks.

    Raises:
        BaseException: What a task raised; the others are left.
    """
    store = _store_of_all(connection)
    agenda = Agenda(tasks, then)
    others = [] if store is None or helpers is None else helpers.each
    count = 1 + len(others)
    settings = connection.execute(_SETTINGS).fetchall()[0]
    threads = max(1, torch.get_num_threads() // count)
    share = Share(store or MEMORY, count, threads, min(LIMIT, settings[1] // count))
    with _limited(connection, share, settings), _watched(agenda, others, share), keep_answers():
        while (task := agenda.take(0)) is not None:
            start = time.monotonic()
            value = task.call(connection, *task.arguments)
            agenda.finish(task, Outcome(value, time.monotonic() - start))


def _store_of_all(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the path of the store if other processes see the same at it, else None."""
    store = store_path(connection)
    ((is_read_only,),) = connection.execute(_READ_ONLY).fetchall()
    is_file = store != MEMORY and is_read_only and store_with_files(connection) == store
    return os.path.abspath(store) if is_file else None  # noqa: PTH100  # links are the user's


@contextmanager
def _limited(
    connection: duckdb.DuckDBPyConnection, share: Share, settings: tuple[int, int]
) -> Iterator[None]:
    """Take no more than this share of threads and memory, until the block ends.

    settings: DuckDB's threads and memory, which it has again then.
    """
    if share.processes == 1:
        yield
        return
    usual, (threads, memory) = torch.get_num_threads(), settings
    take_share(connection, share)
    try:
        yield
    finally:
        share_memory(1)
        torch.set_num_threads(usual)
        connection.execute(f"SET threads = {threads}; SET memory_limit = '{memory}B'")


@contextmanager
def _watched(agenda: Agenda, helpers: Iterable[Helper], share: Share) -> Iterator[None]:
    """Have helpers do tasks until the block ends, each watched by a thread."""
    threads = [
        Thread(target=_watch, args=(agenda, who, helper, share), daemon=True)
        for who, helper in enumerate(helpers, start=1)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    except BaseException as error:  # the threads end when the helpers do
        agenda.fail(error)
        raise


def _watch(agenda: Agenda, who: int, helper: Helper, share: Share) -> None:
    """Give tasks to a helper until there is none, or it ends."""
    if not helper.open(share):
        return  # the others do what it would have done
    try:
        while (task := agenda.take(who)) is not None:
            outcome = helper.do(task)
            agenda.finish(task, outcome)
            if outcome.lost is not None:
                return
    except BaseException as error:
        agenda.fail(error)
