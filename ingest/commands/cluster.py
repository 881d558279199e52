"""Handlers of the commands status, cancel, work and load."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ingest.commands.faults import explained
from ingest.executors.ray.work import work_tied
from ingest.executors.shared.loading import load_submission
from ingest.executors.shared.submission import list_submissions
from ingest.executors.slurm.overview import cancel_submissions, describe_submissions
from ingest.executors.slurm.strips import cancel_matrices, describe_matrices, list_matrices
from ingest.executors.slurm.work import work_on_task
from ingest.layout import Layout
from zoo.command_line import UsageError, call, job_task, print_now


def status(options: argparse.Namespace) -> int:
    """Print how far submissions are.

    Args:
        options: Submission, store.

    Returns:
        The exit code.
    """
    find_outdated = partial(call, options.outdated, options)
    of_matrices = partial(describe_matrices, find_outdated=find_outdated)
    return _print_both(of_matrices, describe_submissions, options)


def cancel(options: argparse.Namespace) -> int:
    """Cancel submissions.

    Args:
        options: Submission, store.

    Returns:
        The exit code.
    """
    return _print_both(cancel_matrices, cancel_submissions, options)


def _print_both(
    of_matrices: Callable[[Layout, Sequence[str]], Iterator[str]],
    of_submissions: Callable[[Layout, Sequence[str]], Iterator[str]],
    options: argparse.Namespace,
) -> int:
    """Print what there is to say of the matrices and submissions named, or of all."""
    layout, names = Layout.find(options.store), options.submission
    known = {jobs.key for jobs in list_matrices(layout)}
    said = False
    if not names or known.intersection(names):
        for line in of_matrices(layout, names):
            print_now(line)
            said = True
    others = [name for name in names if name not in known]
    if others or (not names and (not said or any(list_submissions(layout)))):
        for line in of_submissions(layout, others):
            print_now(line)
    return 0


def work(options: argparse.Namespace) -> int:
    """Compute the chunks of a task, on a node.

    Args:
        options: Submission, task, store, tied.

    Returns:
        The exit code.

    Raises:
        UsageError: No task is named, or not by a number.
    """
    task = job_task() if options.task is None else options.task
    if task is None:
        raise UsageError("no task is named: its script runs this as a job, or give --task 0")
    work_on = work_tied if options.tied else work_on_task
    with explained(options):
        return work_on(Layout.find(options.store), options.submission, task)


def load(options: argparse.Namespace) -> int:
    """Load what a submission has computed, on a node.

    Args:
        options: Submission, store.

    Returns:
        The exit code.
    """
    with explained(options):
        return load_submission(Layout.find(options.store), options.submission)
