"""Readers that answer in turn. One that takes too long is ended, and another takes its place."""

from __future__ import annotations

import json
import multiprocessing
import queue
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from query.serve.limits import Limits
from query.serve.reader import READY, read_forever

STARTING = 120.0  # s that a reader may take to import what computes
_ENDING = 5.0  # s that it may take to end


class Busy(Exception):
    """All readers are at other statements, or the server is ending."""


class TimedOut(Exception):
    """A statement took longer than it may."""


@dataclass
class _Reader:
    process: BaseProcess
    pipe: Connection
    is_ready: bool = False

    def wait_until_ready(self) -> None:
        if not self.is_ready:
            if not self.pipe.poll(STARTING):
                raise EOFError
            assert self.pipe.recv_bytes() == READY
            self.is_ready = True

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join(_ENDING)


class Pool:
    """Several readers of one store.

    Attributes:
        store: The store's file.
        limits: What each statement may take.
    """

    def __init__(self, store: Path, readers: int, limits: Limits) -> None:
        """Start the readers, which get ready in the background.

        Args:
            store: The store's file.
            readers: How many statements run at once.
            limits: What each may take.
        """
        self.store, self.limits = store, limits
        self._free: queue.Queue[_Reader] = queue.Queue()
        self._all: list[_Reader] = []
        self._is_closed = False
        for _ in range(readers):
            self._free.put(self._start())

    def ask(self, statement: str) -> bytes:
        """Return what a reader answers, as JSON; it waits for one that is free.

        Args:
            statement: The SQL.

        Raises:
            Busy: None was free in time, or the readers were ended meanwhile.
            TimedOut: The statement took longer than it may.
        """
        try:
            reader = self._free.get(timeout=self.limits.patience)
        except queue.Empty as error:
            raise Busy(f"all {len(self._all)} readers are busy; try again") from error
        try:
            reader.wait_until_ready()
            reader.pipe.send_bytes(statement.encode())
            if reader.pipe.poll(self.limits.seconds):
                return reader.pipe.recv_bytes()
        except (EOFError, OSError):  # it ended by itself: memory ran out, or DuckDB aborted
            reader = self._replace(reader)
            return json.dumps({"error": "the statement ended the process that ran it"}).encode()
        else:
            reader = self._replace(reader)
            raise TimedOut(f"stopped after {self.limits.seconds:g} s, which a statement may take")
        finally:
            self._free.put(reader)

    def close(self) -> None:
        """End all readers, also those that are at a statement; none takes their place."""
        self._is_closed = True
        for reader in self._all:
            reader.process.kill()
        for reader in self._all:
            reader.process.join(_ENDING)

    def _start(self) -> _Reader:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=read_forever, args=(theirs, self.store, self.limits), daemon=True
        )
        process.start()
        theirs.close()
        reader = _Reader(process, ours)
        self._all.append(reader)
        return reader

    def _replace(self, reader: _Reader) -> _Reader:
        if self._is_closed:
            raise Busy("the server is ending")
        self._all.remove(reader)
        with suppress(OSError):
            reader.end()
        return self._start()
