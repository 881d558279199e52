"""Processes that help this one with tasks on a store.

They end with this process, however it ends. One that is killed takes its task with it, and nothing
else. Nothing that computes is imported here, for the sake of those that are spawned.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from threading import Lock

from query.processes.agenda import Outcome, Task
from query.processes.helping import ENDING, Share, help_out
from zoo.machine import count_cores, free_memory

ROOM = 2 * 2**30  # bytes that a process may need: 0.6 GiB of code, and what it computes
# OpenBLAS reads it when NumPy is imported, which therefore comes after `Helpers`. Its threads spin
# while they wait, and take as much time as they save where every core has a process: a report took
# 63 s of processor time instead of 38.
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


class Helper:
    """A process that does one task after another."""

    def __init__(self, *, forked: bool) -> None:
        """Start it.

        Args:
            forked: Whether it begins as a copy of this process; see `Helpers`.
        """
        context: BaseContext = multiprocessing.get_context("fork" if forked else "spawn")
        self._talking = Lock()  # who sent something gets the answer, also if others begin meanwhile
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=help_out, args=(theirs,), daemon=True
        )
        # Ctrl-C is for this process, which ends the others: they are born deaf to it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def open(self, share: Share) -> bool:
        """Have it open a store, and return whether it did.

        Args:
            share: The store, and what the process may take.
        """
        try:
            with self._talking:
                self._pipe.send(share)
                return self._pipe.recv() is None
        except (EOFError, OSError):
            return False

    def do(self, task: Task) -> Outcome:
        """Have it do a task.

        Args:
            task: The task.

        Raises:
            Exception: What the task raised.
        """
        start = time.monotonic()
        try:
            with self._talking:
                self._pipe.send((task.call, task.arguments))
                value, error = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(ENDING)
            ended = f"the process that was at it ended with exit code {self._process.exitcode}"
            return Outcome(None, time.monotonic() - start, ended)
        if error is not None:
            raise error
        return Outcome(value, time.monotonic() - start)

    def stop(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def close(self) -> None:
        """Wait for its end, but not for long."""
        self._process.join(ENDING)
        self._process.kill()
        self._process.join()


class Helpers:
    """A context manager of processes that end when its block does.

    Attributes:
        each: The processes.
    """

    def __init__(self, processes: int | None = None, modules: Sequence[str] = ()) -> None:
        """Start them.

        Where nothing has been computed yet, as at the start of a command, they are forked on Linux:
        they begin with what this process imports here, and a report takes 3 s of processor time
        less for each. Else they are spawned, as a copy has none of the threads of its original,
        and torch would wait for them.

        Args:
            processes: How many processes work, this one among them; None is as many as this
                machine has cores and memory for, but no more than OMP_NUM_THREADS.
            modules: What this process imports before it is copied, torch among it.
        """
        count = fitting_processes() if processes is None else processes
        self._blas_threads = os.environ.get(_BLAS_THREADS)
        if count > 1:
            os.environ.setdefault(_BLAS_THREADS, "1")
        forked = sys.platform == "linux" and "torch" not in sys.modules
        if forked:
            with _without_collecting():
                for module in modules:
                    import_module(module)
        self.each = [Helper(forked=forked) for _ in range(1, count)]

    def __enter__(self) -> Helpers:
        return self

    def stop(self) -> None:
        """Ask them to end, which takes a second, as soon as there are no more tasks."""
        for helper in self.each:
            helper.stop()

    def __exit__(self, *raised: object) -> None:
        self.stop()
        for helper in self.each:
            helper.close()
        if self._blas_threads is None:
            os.environ.pop(_BLAS_THREADS, None)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Do not look for garbage, and never again among what is there at the end.

    Modules make a quarter of a million objects, which stay. Copies of this process share their
    memory for as long as nobody touches them; see `gc.freeze`.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def fitting_processes() -> int:
    """Return how many processes this machine has memory and cores that may be used for."""
    free = free_memory()
    cores, threads = count_cores(), os.environ.get("OMP_NUM_THREADS", "")
    usable = min(cores, int(threads)) if threads.isdigit() else cores
    return max(1, usable if free is None else min(usable, free // ROOM))
