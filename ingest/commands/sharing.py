"""Handlers of the commands publish, fetch, export and import."""

from __future__ import annotations

import argparse
from pathlib import Path

from ingest.commands.faults import explained
from ingest.layout import Layout
from ingest.share import several_models
from ingest.share.export import export
from ingest.share.import_exported import import_store as import_exported
from zoo.command_line import print_now


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


def export_store(options: argparse.Namespace) -> int:
    """Write the store to one DuckDB file.

    Args:
        options: File, store.

    Returns:
        The exit code.
    """
    with explained(options):
        layout = Layout.find(options.store)
        count = export(layout, Path(options.file), print_now)
        print_now(f"{options.file} holds {layout.store.name}, with {count} vectors")
    return 0


def import_store(options: argparse.Namespace) -> int:
    """Take an exported store into the store.

    Args:
        options: File, store.

    Returns:
        The exit code.
    """
    with explained(options):
        layout = Layout.find(options.store)
        count = import_exported(layout, Path(options.file), print_now)
        print_now(f"{count} runs of {options.file} -> {layout.store}")
    return 0
