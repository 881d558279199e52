"""What a process does that helps another with its tasks."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

import duckdb

from zoo.imports import import_little

ENDING = 5.0  # s that a process may take to remove its temporary files


@dataclass(frozen=True)
class Share:
    """What a process has of this machine, and the store that it opens.

    Attributes:
        store: The path of the store.
        processes: How many processes share the machine.
        threads: Threads of torch, and of DuckDB.
        duckdb_memory: Bytes that DuckDB may take.
    """

    store: str
    processes: int
    threads: int
    duckdb_memory: int


def help_out(pipe: Connection) -> None:
    """Do tasks on a store until the process that started this one ends, or SIGTERM comes.

    Args:
        pipe: A `Share` comes in, and None goes out once its store is open. Then tasks come in, each
            a function and its arguments. For each goes out what it returned and None, or None and
            what it raised. Another `Share` closes the store and opens another one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # temporary files are removed
    # Bars of several processes would write over one another; what fails is told through the pipe.
    sys.stderr = sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    import_little()
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        message = pipe.recv()
        while isinstance(message, Share):
            message = _do_all(pipe, message)


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, also if a task takes hours."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ENDING)
        os._exit(1)


def take_share(connection: duckdb.DuckDBPyConnection, share: Share) -> None:
    """Have torch and DuckDB take no more than this process's share.

    Args:
        connection: A connection to the store.
        share: What the process has.
    """
    import torch  # with what follows it takes seconds to import

    from query.engine.devices import share_memory

    torch.set_num_threads(share.threads)
    share_memory(share.processes)
    connection.execute(f"SET threads = {share.threads}")
    connection.execute(f"SET memory_limit = '{share.duckdb_memory}B'")


def _do_all(pipe: Connection, share: Share) -> Any:
    """Do tasks until something else comes, which is returned."""
    from query import connect
    from query.statements import keep_answers

    with connect(share.store) as connection, keep_answers():
        take_share(connection, share)
        connection.execute("SET enable_progress_bar = false")
        pipe.send(None)
        while isinstance(message := pipe.recv(), tuple):
            call, arguments = message
            pipe.send(_try(call, connection, arguments))
    return message


def _try(
    call: Callable[..., Any], connection: duckdb.DuckDBPyConnection, arguments: tuple[Any, ...]
) -> tuple[Any, Exception | None]:
    from query.sql.interrupt import was_interrupted

    try:
        return call(connection, *arguments), None
    except Exception as error:
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        return None, error
