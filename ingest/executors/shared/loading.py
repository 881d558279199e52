"""What the load job does: put what tasks have computed into the store, of which it alone writes.

Each chunk is loaded in a transaction of its own. A load job that is killed starts again where it
was, and a chunk that is not computed keeps no other from being loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import duckdb
import pyarrow as pa

from ingest.executors.shared.late import (
    FileWait,
    await_file,
    await_vectors,
    file_wait,
    wait_until,
)
from ingest.executors.shared.node import node_name
from ingest.executors.shared.starts import Starts
from ingest.executors.shared.submission import (
    FAILED,
    LOADED,
    MISSING,
    UNREADABLE,
    Submission,
    find_submission,
)
from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.folder import Run, lock_run
from ingest.runs.load import load, load_noted_failure
from ingest.runs.reporting import report_error, report_step
from schemas.errors import StoreLocked
from zoo.command_line import print_now
from zoo.errors import MatterzooError
from zoo.terminal import plural

PATIENCE = 600.0  # s that the load job waits for a store that others use; nobody sits before it


def load_submission(layout: Layout, name: str) -> int:
    """Load what the tasks of a submission have computed.

    Args:
        layout: The store and the files beside it.
        name: The submission's name.

    Returns:
        The exit code: 0 if every chunk is in the store.

    Raises:
        RunError: The submission is not seen on this node.
    """
    await_file(Submission(layout, name).folder / "submission.json")
    submission = find_submission(layout, name)
    print_now(f"loading {name}, on {node_name()}: {plural(len(submission.runs), 'chunk')}")
    wait = FileWait()
    _await_records(submission, wait)
    counts = Counter(outcome for _, outcome in load_chunks(submission, submission.runs, wait))
    print_now(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    if counts[LOADED] == len(submission.runs):
        return 0
    command = submission.content["command"]
    report_error(f"not all chunks are loaded; `{command}` submits again what is missing")
    return 1


def _await_records(submission: Submission, wait: FileWait) -> None:
    """Wait once for the records of all chunks that are not seen to have ended."""

    def ended(run: Run) -> bool:
        try:
            return run.finished or Starts.of(submission, run).failed
        except Damaged:  # `load_chunk` says what is wrong
            return True

    unseen = [run for run in submission.runs if not ended(run)]
    if not unseen:
        return
    print_now(f"{plural(len(unseen), 'chunk')} not finished; looking again for {file_wait():.0f} s")
    for run in unseen:
        wait_until(lambda run=run: ended(run), run.out, wait.end)  # type: ignore[misc]


def load_chunks(
    submission: Submission, runs: Iterable[Run], wait: FileWait
) -> Iterator[tuple[Run, str]]:
    """Load chunks, or their failures, waiting once for a store that others use.

    Args:
        submission: The submission.
        runs: Chunks of it, which no task computes any more.
        wait: The time to wait for files that other nodes have written.

    Yields:
        Each chunk, and LOADED, FAILED, MISSING or UNREADABLE; it has been reported why.
    """
    patience = PATIENCE
    for run in runs:
        try:
            yield run, load_chunk(submission, run, wait, patience)
        except StoreLocked as error:
            patience = 0.0  # after one wait in vain, the others need not wait again
            yield run, _note(submission, run, UNREADABLE, str(error))


def load_chunk(submission: Submission, run: Run, wait: FileWait, patience: float = PATIENCE) -> str:
    """Load a chunk, or its failure, and note what became of it.

    Args:
        submission: The submission.
        run: One of its chunks, which no task computes any more.
        wait: The time to wait for files that other nodes have written.
        patience: Seconds to wait for a store that others use.

    Returns:
        LOADED, FAILED, MISSING or UNREADABLE; it has been reported why.

    Raises:
        StoreLocked: Others used the store all the time; nothing is noted.
    """
    try:
        if submission.outcome(run).get("outcome") == LOADED:
            return LOADED
        outcome, reason = _load(submission, run, wait, patience)
    except (StoreLocked, duckdb.InterruptException):
        raise
    except (MatterzooError, pa.ArrowException, duckdb.Error) as error:
        outcome, reason = UNREADABLE, str(error)
    return _note(submission, run, outcome, reason)


def _note(submission: Submission, run: Run, outcome: str, reason: str | None) -> str:
    """Report why a chunk is not loaded, note what became of it, and return that."""
    if reason is not None:
        report_error(f"{run.run_id}: {outcome}: {reason}")
    submission.note_outcome(run, outcome, reason)
    return outcome


def _load(
    submission: Submission, run: Run, wait: FileWait, patience: float
) -> tuple[str, str | None]:
    """Load a chunk or its failure; return what became of it, and why it is not loaded."""
    log = report_step if patience >= PATIENCE else _ignore  # a short wait is not worth a line
    starts = Starts.of(submission, run)
    if run.finished:
        await_vectors(run, wait)
        with lock_run(run, file_wait()):  # its task may still note that it is finished
            counts = load(submission.layout, run, patience=patience, log=log)
        outcome = f"{counts.ok} ok, {counts.failed} failed, {counts.not_applicable} not applicable"
        print_now(f"  {run.run_id}: {outcome}")
        return LOADED, None
    if starts.finished:
        await_file(run.out / "run.json", wait)
    if starts.failed:
        load_noted_failure(submission.layout, run, patience)
        return FAILED, str(run.read("failed.json")["reason"])
    return MISSING, starts.reason or (
        f"it was started on {', '.join(starts.nodes)} and not finished"
        if starts.nodes
        else "no task has started with it"
    )


def _ignore(text: str) -> None:
    """Report nothing about a wait that is short."""
