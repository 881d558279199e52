"""Handlers of the commands status, cancel, work and load."""

from __future__ import annotations

import argparse

from ingest.commands.faults import explained
from ingest.executors.ray.work import work_tied
from ingest.executors.shared.loading import load_submission
from ingest.executors.slurm.overview import cancel_submissions, describe_submissions
from ingest.executors.slurm.work import work_on_task
from ingest.layout import Layout
from zoo.command_line import UsageError, print_now


def status(options: argparse.Namespace) -> int:
    """Print how far submissions are.

    Args:
        options: Submission, store.

    Returns:
        The exit code.
    """
    for line in describe_submissions(Layout.find(options.store), options.submission):
        print_now(line)
    return 0


def cancel(options: argparse.Namespace) -> int:
    """Cancel submissions.

    Args:
        options: Submission, store.

    Returns:
        The exit code.
    """
    for line in cancel_submissions(Layout.find(options.store), options.submission):
        print_now(line)
    return 0


def work(options: argparse.Namespace) -> int:
    """Compute the chunks of a task, on a node.

    Args:
        options: Submission, task, store, tied.

    Returns:
        The exit code.

    Raises:
        UsageError: No task is named.
    """
    if options.task is None:
        raise UsageError("no task is named: its script runs this as a job, or give --task 0")
    with explained(options):
        if options.tied:
            return work_tied(Layout.find(options.store), options.submission, options.task)
        return work_on_task(Layout.find(options.store), options.submission, options.task)


def load(options: argparse.Namespace) -> int:
    """Load what a submission has computed, on a node.

    Args:
        options: Submission, store.

    Returns:
        The exit code.
    """
    with explained(options):
        return load_submission(Layout.find(options.store), options.submission)
