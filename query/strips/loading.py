"""What one process does at the end: put the strips together and keep the matrix."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from query.metrics import Alignment
from query.strips.cutting import pair_units
from query.strips.finding import read_pairs
from query.strips.parts import Parts
from query.strips.question import StripsError, open_store, question_folder, read_question
from query.strips.working import PAUSE, require_same
from query.tables.shared.pairs import make_rows
from query.tables.shared.plans import ModelPair
from query.tables.shared.stored import keep_matrix, read_matrix
from zoo.terminal import plural


def load_strips(store: str | Path, key: str, wait: float = 0.0) -> int:
    """Keep the matrix of a question, whose strips are then removed.

    Args:
        store: The path of the store.
        key: The question's key.
        wait: Seconds to wait for files that other nodes have written and that are seen late.

    Returns:
        The number of its rows.

    Raises:
        StripsError: Strips are missing, or the vectors have changed since they were begun.
    """
    if (kept := read_matrix(store, key)) is not None:
        return len(kept)
    folder = question_folder(store, key)
    question, parts = read_question(folder), Parts(folder)
    with open_store(store) as connection:
        require_same(question.key(connection), key, question.command)
        plan = question.plan(connection)
    units = pair_units(plan)
    end = time.monotonic() + wait
    while parts.missing([unit.name for unit in units]) and time.monotonic() < end:
        if read_matrix(store, key) is not None:
            break
        time.sleep(PAUSE)
    found: dict[tuple[str, ModelPair], Alignment] = {}
    for unit in units:
        found |= read_pairs(plan, parts, unit)
    missing = len({wanted for _, wanted in plan.asked} - found.keys())
    if missing:
        if (kept := read_matrix(store, key)) is not None:  # by another command meanwhile
            return len(kept)
        raise StripsError(
            f"{plural(missing, 'alignment')} of {len(found) + missing} are missing: not all strips "
            f"are found. `{question.command}` goes on with what is there"
        )
    rows = make_rows(plan, found)
    keep_matrix(store, key, rows)
    for name in ("parts", "locks"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return len(rows)
