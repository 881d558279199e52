"""Handlers of the commands ingest, plan and datasets."""

from __future__ import annotations

import argparse

from ingest import __main__ as program
from ingest.commands.faults import explained


def embed(options: argparse.Namespace) -> int:
    """Embed datasets with models, or load vectors that a user has.

    Args:
        options: those of `matterzoo ingest`.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.run(options)


def plan(options: argparse.Namespace) -> int:
    """Print what an ingest will take.

    Args:
        options: those of `matterzoo plan`.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.foresee(options)


def list_datasets(options: argparse.Namespace) -> int:
    """Print a line per dataset.

    Args:
        options: none.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.datasets(options)
