"""Handlers of the commands publish and fetch."""

from __future__ import annotations

import argparse

from ingest import __main__ as program
from ingest.commands.faults import explained


def publish_models(options: argparse.Namespace) -> int:
    """Push models' vectors to a hub.

    Args:
        options: those of `matterzoo publish`.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.publish_models(options)


def fetch_models(options: argparse.Namespace) -> int:
    """Load published vectors.

    Args:
        options: those of `matterzoo fetch`.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.fetch_models(options)
