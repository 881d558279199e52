"""What nobody foresaw in one thread ends the others, and no error is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.executors.side_by_side import Crew, SideBySide
from ingest.layout import Layout
from ingest.runs.execute import Execution, Turn
from ingest.runs.request import Request
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.venv import RUNTIME
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.discovery import find_model
from zoo.files import file_lock

Make = Callable[..., MaterializedDataset]
Attempt = Callable[[Turn, FamilyWorker], bool]


@pytest.fixture
def side_by_side(layout: Layout, dataset: Make) -> Callable[[Attempt], list[Turn]]:
    """Return a function that attempts three requests in two threads."""
    made = dataset(3)
    groups = [[Turn(Request(find_model("toy"), made, (name,)))] for name in ("nodes", "whole")]
    later = Turn(Request(find_model("toy-picky"), made, ("nodes",)))
    groups[0].append(later)
    execution = Execution(layout, RUNTIME)
    return lambda attempt: SideBySide(execution, groups, Crew(2, 1), attempt).run()


def test_the_first_error_is_raised_and_the_others_are_reported(
    side_by_side: Callable[[Attempt], list[Turn]], capsys: pytest.CaptureFixture[str]
) -> None:
    both, attempted = threading.Barrier(2), list[str]()

    def attempt(turn: Turn, worker: FamilyWorker) -> bool:
        attempted.append(turn.request.selection.model_id)
        both.wait(10)
        if turn.request.representations == ("whole",):
            try:
                while True:
                    time.sleep(0.01)
            except KeyboardInterrupt:
                raise ValueError("second, of what was cleared away") from None
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        side_by_side(attempt)
    assert capsys.readouterr().err == "error: ValueError: second, of what was cleared away\n"
    assert attempted == ["toy", "toy"]  # nothing is begun any more


def test_a_thread_that_waits_for_a_lock_is_interrupted(
    side_by_side: Callable[[Attempt], list[Turn]], tmp_path: Path
) -> None:
    waiting = threading.Event()

    def attempt(turn: Turn, worker: FamilyWorker) -> bool:
        if turn.request.representations == ("whole",):
            with file_lock(tmp_path / "lock", on_wait=lambda holder: waiting.set()):
                raise AssertionError("it is held by another")
        assert waiting.wait(10)
        raise ValueError("first")

    with file_lock(tmp_path / "lock"), pytest.raises(ValueError, match="first"):
        side_by_side(attempt)
