"""Handlers of the commands publish, fetch, export, import and export-systems."""

from __future__ import annotations

import argparse
from pathlib import Path

from ingest.commands.faults import explained
from ingest.layout import Layout
from ingest.runs.errors import RequestError
from ingest.runs.prepare import prepare_dataset, resolve_datasets
from ingest.runs.request import Settings
from ingest.share import several_models
from ingest.share.export import export
from ingest.share.export_systems import export_systems as write_systems
from ingest.share.export_systems import refuse_file
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


def export_systems(options: argparse.Namespace) -> int:
    """Write the systems of a dataset to a file, to be embedded elsewhere.

    Args:
        options: Dataset, file, limit, name, numbered, store.

    Returns:
        The exit code.

    Raises:
        RequestError: Several datasets are named.
    """
    with explained(options):
        layout, file = Layout.find(options.store), Path(options.file)
        datasets = resolve_datasets(
            layout, options.dataset, options.name, numbered=options.numbered
        )
        if len(datasets) > 1:
            raise RequestError(f"a file is of one dataset, not of {len(datasets)}: name one")
        refuse_file(file.absolute())
        made = prepare_dataset(layout, datasets[0].sampled(options.limit, print_now))
        count = write_systems(made, file, options.limit)
        asked = made.n_systems if options.limit is None else min(options.limit, made.n_systems)
        left = f"; {asked - count} lack what {file.suffix} holds" if count < asked else ""
        print_now(f"{file} holds {count} systems of {made.dataset}{left}")
        order = " and --numbered if they are in this order" if count == made.n_systems else ""
        settings = Settings(limit=options.limit if datasets[0].is_sampled else None)
        more = {"--vectors": "FILE"}
        how = settings.command(["my-model"], made.dataset, options.store, more)
        print_now(f"vectors of them come back with `{how}`,{order or ' with their ids'}")
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
