"""Handlers of the commands ingest, plan and datasets."""

from __future__ import annotations

import argparse
from dataclasses import fields
from functools import partial
from pathlib import Path

from ingest.commands.faults import explained
from ingest.executors import find_executor
from ingest.executors.embed import embed as embed_datasets
from ingest.executors.embed import refuse_options
from ingest.executors.protocol import Where
from ingest.layout import Layout
from ingest.maintenance.confirm import confirm_losses
from ingest.maintenance.dataset_list import describe_datasets
from ingest.maintenance.forecast import forecast
from ingest.maintenance.forecast_jobs import forecast_jobs
from ingest.maintenance.missing_weights import offer_weights
from ingest.runs.errors import RequestError
from ingest.runs.import_vectors import import_file
from ingest.runs.imported import ImportedVectors
from ingest.runs.request import Settings
from zoo.command_line import UsageError, print_now, switches


def embed(options: argparse.Namespace) -> int:
    """Embed datasets with models, or import vectors that a user has.

    Args:
        options: Those of `matterzoo ingest`.

    Returns:
        The exit code.

    Raises:
        UsageError: an option is given that says something of vectors, without vectors.
    """
    surplus = switches(options, ("title", "license", "ids"))
    if options.vectors is None and surplus:
        raise UsageError(f"--{surplus[0]} needs --vectors: it is about vectors of your own")
    with explained(options):
        if options.vectors is not None:
            return _import(options)
        settings = _settings(options)
        failed = embed_datasets(
            options.model,
            options.dataset,
            settings,
            store=options.store,
            where=_where(options),
            offer=partial(offer_weights, settings=settings, yes=options.yes),
        )
        return 1 if failed else 0


def plan(options: argparse.Namespace) -> int:
    """Print what an ingest will take.

    Args:
        options: Those of `matterzoo plan`.

    Returns:
        The exit code.
    """
    with explained(options):
        settings, where = _settings(options), _where(options)
        executor = find_executor(where.on)
        refuse_options(executor, settings, where)
        request = options.model, options.dataset, settings
        if executor.takes:
            lines = forecast_jobs(*request, where, store=options.store)
        else:
            lines = forecast(*request, store=options.store)
        for line in lines:
            print_now(line)
    return 0


def list_datasets(options: argparse.Namespace) -> int:
    """Print a line per dataset.

    Args:
        options: None.

    Returns:
        The exit code.
    """
    with explained(options):
        for line in describe_datasets():
            print_now(line)
    return 0


def _import(options: argparse.Namespace) -> int:
    if said := _where(options).options:
        raise RequestError(
            f"--vectors are loaded here and now, and nothing is computed: leave out "
            f"{', '.join(said)}"
        )
    file = Path(options.vectors)
    ids = None if options.ids is None else Path(options.ids)
    imported = ImportedVectors(
        options.model, file, options.title, options.license, ids, options.numbered
    )
    agree = partial(confirm_losses, options.model, file, options.yes)
    layout = Layout.find(options.store)
    print_now(import_file(layout, imported, options.dataset, _settings(options), agree))
    return 0


def _where(options: argparse.Namespace) -> Where:
    """Return where runs are to be started."""
    return Where(**{f.name: vars(options)[f.name] for f in fields(Where)})


def _settings(options: argparse.Namespace) -> Settings:
    """Return how models are to be run; `plan` has fewer options than `ingest`."""
    stated = vars(options)
    return Settings(**{f.name: stated[f.name] for f in fields(Settings) if f.name in stated})
