"""Tasks on a store, done by this process and by others that open the same store.

The others are spawned, not forked, since DuckDB and torch have threads. Each reads the store as
this process does, has its share of the threads and of the memory, and ends with this process,
however it ends. One that is killed takes its task with it, and nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread

import duckdb
import torch

from query.engine.devices import share_memory
from query.processes.agenda import Agenda, Outcome, Task
from query.processes.helper import Share, work
from query.reading.files import store_path, store_with_files
from query.statements import keep_answers
from schemas.paths import MEMORY
from zoo.machine import count_cores, free_memory

ROOM = 2 * 2**30  # bytes that a process may need: 0.6 GiB of code, and what it computes
_ENDING = 5.0  # s that a process may take to remove its temporary files
_READ_ONLY = "SELECT readonly FROM duckdb_databases() WHERE database_name = current_database()"
_LIMIT = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"


def fitting_processes() -> int:
    """Return how many processes this machine has cores, torch threads, and memory for."""
    free = free_memory()
    room = ROOM if free is None else free
    return max(1, min(count_cores(), torch.get_num_threads(), room // ROOM))


def run_tasks(
    connection: duckdb.DuckDBPyConnection,
    tasks: Iterable[Task],
    then: Callable[[Task, Outcome], Iterable[Task]],
    processes: int = 1,
) -> None:
    """Do all tasks, and those that follow from them.

    Args:
        connection: A connection to a store, with our functions. Unless it reads a file that
            other processes can read, too, this process does all tasks.
        tasks: The tasks.
        then: Called with each task and what came of it, one at a time; it returns tasks that
            follow.
        processes: How many processes work, this one among them.

    Raises:
        BaseException: What a task raised; the others are left.
    """
    store = _store_of_all(connection)
    count = 1 if store is None else processes
    agenda, usual = Agenda(tasks, then), torch.get_num_threads()
    share = Share(store or MEMORY, count, max(1, usual // count), _limit(connection) // count)
    with _helpers(agenda, share), _limited(share, usual), keep_answers():
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


def _limit(connection: duckdb.DuckDBPyConnection) -> int:
    ((size,),) = connection.execute(_LIMIT).fetchall()
    return int(size)


@contextmanager
def _limited(share: Share, usual: int) -> Iterator[None]:
    """Take no more than this share of threads and memory, until the block ends."""
    torch.set_num_threads(share.threads)
    share_memory(share.processes)
    try:
        yield
    finally:
        share_memory(1)
        torch.set_num_threads(usual)


@contextmanager
def _helpers(agenda: Agenda, share: Share) -> Iterator[None]:
    """Have tasks done by other processes until the block ends, each watched by a thread."""
    started = [_start(share) for _ in range(1, share.processes)]
    threads = [
        Thread(target=_watch, args=(agenda, who, *one), daemon=True)
        for who, one in enumerate(started, start=1)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    except BaseException as error:
        agenda.fail(error)
        raise
    finally:
        for process, _ in started:
            process.terminate()
        for (process, pipe), thread in zip(started, threads, strict=True):
            process.join(_ENDING)
            process.kill()
            thread.join()
            pipe.close()


def _start(share: Share) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, share), daemon=True)
    # Ctrl-C is for this process, which ends the others: they are born deaf to it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return process, ours


def _watch(agenda: Agenda, who: int, process: BaseProcess, pipe: Connection) -> None:
    """Give tasks to a process until there is none, or it ends."""
    try:
        pipe.recv()  # it is ready
    except EOFError:
        return  # the others do what it would have done
    try:
        while (task := agenda.take(who)) is not None:
            outcome = _have_done(task, process, pipe)
            agenda.finish(task, outcome)
            if outcome.lost is not None:
                return
    except BaseException as error:
        agenda.fail(error)


def _have_done(task: Task, process: BaseProcess, pipe: Connection) -> Outcome:
    start = time.monotonic()
    try:
        pipe.send((task.call, task.arguments))
        value, error = pipe.recv()
    except (EOFError, OSError):
        process.join(_ENDING)
        ended = f"the process that was at it ended with exit code {process.exitcode}"
        return Outcome(None, time.monotonic() - start, ended)
    if error is not None:
        raise error
    return Outcome(value, time.monotonic() - start)
