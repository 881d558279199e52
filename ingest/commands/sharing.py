"""Handlers of the commands publish and fetch."""

from __future__ import annotations

import argparse

from ingest.commands.faults import explained
from ingest.layout import Layout
from ingest.share import several_models


def publish_models(options: argparse.Namespace) -> int:
    """Push models' vectors to a hub.

    Args:
        options: Those of `matterzoo publish`.

    Returns:
        The exit code.
    """
    with explained(options):
        refused = several_models.publish_models(
            Layout.find(options.store),
            options.model,
            options.dataset,
            options.repo,
            options.representation,
        )
    return 2 if refused else 0


def fetch_models(options: argparse.Namespace) -> int:
    """Load published vectors.

    Args:
        options: Those of `matterzoo fetch`.

    Returns:
        The exit code.
    """
    with explained(options):
        refused = several_models.fetch_models(
            Layout.find(options.store),
            options.model,
            options.dataset,
            options.repo,
            revision=options.revision,
            representations=options.representation,
            limit=options.limit,
        )
    return 2 if refused else 0
