"""What each of several processes does: find the strips that no other has found or is at.

A process that dies takes its locks with it, and others find what it was at. Where a file system
does not pass locks between nodes, some strips are found twice, with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from query.strips.cutting import Unit
from query.strips.finding import Work
from query.strips.parts import Parts
from query.strips.question import StripsError, open_store, question_folder, read_question
from query.strips.staging import staged
from query.tables.shared.stored import read_matrix
from zoo.command_line import print_now
from zoo.files import LockHeldError, file_lock, remove_leftovers

PAUSE = 0.5  # s between two looks for strips that others are at
PATIENCE = 600.0  # s without any new strip, after which one that another is at is found here, too


def work_on_strips(
    store: str | Path, key: str, task: int = 0, tasks: int = 1, threads: int | None = None
) -> int:
    """Find strips of a question until none is missing.

    Args:
        store: The path of the store, which is only read, and closed before strips are found unless
            vectors are in an object store.
        key: The question's key.
        task: The number of this process, from 0: they begin at different strips.
        tasks: How many processes there are.
        threads: How many threads it may use; None is PyTorch's choice.

    Returns:
        How many strips this process has found; 0 if the matrix is kept, and its strips are gone.

    Raises:
        StripsError: There is no such question, or the vectors have changed since it was asked.
    """
    if read_matrix(store, key) is not None:
        return 0
    folder = question_folder(store, key)
    question, parts = read_question(folder), Parts(folder)
    if threads is not None:
        torch.set_num_threads(threads)
    with ExitStack() as held:
        connection = held.enter_context(open_store(store))
        require_same(question.key(connection), key, question.command)
        plan = question.plan(connection)
        if all(file.is_local for file in plan.files):  # DuckDB reads none of them
            held.close()  # hours may follow, in which others can write to the store
        with staged(plan.files, key) as scratch:
            if scratch is not None:
                plan.read_from(scratch)
            work = Work(question, plan, parts, torch.get_num_threads())
            return _find_phases(work, task, tasks, lambda: read_matrix(store, key) is not None)


def require_same(now: str, key: str, command: str) -> None:
    """Refuse to mix strips of different vectors.

    Args:
        now: The key of the question and of the vectors as they are.
        key: The key when it was asked.
        command: The command that asks for the same again.

    Raises:
        StripsError: They differ.
    """
    if now != key:
        raise StripsError(
            f"the vectors of the store have changed since the strips {key} were begun, or this is "
            f"another version of matterzoo: `{command or 'matterzoo matrix DATASET'}` begins anew"
        )


def _find_phases(work: Work, task: int, tasks: int, is_kept: Callable[[], bool]) -> int:
    """Find all strips, unless another has put them together; return how many were found here."""
    found = 0
    try:
        for name, units in zip(("lists", "sums", "pairs"), work.phases, strict=True):
            if units:
                here = _find_all(work, units, task, tasks, is_kept)
                print_now(f"{name}: {here} of {len(units)} strips found by task {task}")
                found += here
    finally:
        work.close()
    return found


def _find_all(
    work: Work, units: Sequence[Unit], task: int, tasks: int, is_kept: Callable[[], bool]
) -> int:
    """Find units until none is missing; return how many were found here.

    is_kept: Tells whether the matrix is kept meanwhile, whose strips are then gone.
    """
    first = len(units) * task // tasks
    ordered = [*units[first:], *units[:first]]
    found, since = 0, time.monotonic()
    while missing := set(work.parts.missing([unit.name for unit in ordered])):
        if is_kept():
            break
        late = time.monotonic() - since > PATIENCE
        here = sum(_try(work, unit, late) for unit in ordered if unit.name in missing)
        if here or len(missing) > len(work.parts.missing([unit.name for unit in ordered])):
            found, since = found + here, time.monotonic()
        else:
            time.sleep(PAUSE)
    return found


def _try(work: Work, unit: Unit, late: bool) -> bool:
    """Find a strip unless another process has found it or is at it; return whether it was here."""
    try:
        with file_lock(work.parts.lock(unit.name), wait=0):
            return _find(work, unit)
    except LockHeldError:
        return late and _find(work, unit)


def _find(work: Work, unit: Unit) -> bool:
    if work.parts.has(unit.name):
        return False
    remove_leftovers(work.parts.file(unit.name).parent, work.parts.file(unit.name).name)
    work.parts.write(unit.name, work.find(unit))
    return True
