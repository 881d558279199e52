"""Handlers of the commands check and pin, for models and for datasets."""

from __future__ import annotations

import argparse

from ingest.commands.faults import explained
from ingest.failures import RunError
from ingest.runs.reporting import report_error
from ingest.runs.request import choose_models
from ingest.runtimes.check_model import check_model
from ingest.sources.shared.discovery import find_dataset
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.systems.entry import DatasetError
from zoo.command_line import UsageError, print_now, split_names
from zoo.commands.families import check_cards
from zoo.commands.models import pin_weights


def check(options: argparse.Namespace) -> int:
    """Check the cards of families, and whether models behave as their cards say.

    Args:
        options: Model, family, dummy, device.

    Returns:
        The exit code.
    """
    code = check_cards(split_names(options.family))
    if options.model is not None:
        with explained(options):
            code = max(code, _check_models(options))
    return code


def pin(options: argparse.Namespace) -> int:
    """Record the hashes of models' weights, or of a dataset's files.

    Args:
        options: Model or dataset, again.

    Returns:
        The exit code.

    Raises:
        UsageError: Neither is given, or both.
    """
    if (options.model is None) == (options.dataset is None):
        raise UsageError("name what to pin: models, or --dataset NAME")
    if options.model is not None:
        return pin_weights(options.model, again=options.again)
    with explained(options):
        _pin_dataset(options.dataset)
    return 0


def _check_models(options: argparse.Namespace) -> int:
    """Check models one after another; return the exit code."""
    failed = []
    for selection in choose_models(options.model):
        try:
            check_model(selection, print_now, dummy=options.dummy, device=options.device)
        except RunError as error:
            report_error(str(error))
            failed.append(selection.model_id)
    if failed:
        report_error(f"{len(failed)} models failed: {', '.join(failed)}")
    return 1 if failed else 0


def _pin_dataset(name: str) -> None:
    dataset = find_dataset(name)
    if not isinstance(dataset, DownloadedDataset):
        raise DatasetError(f"{dataset.name} needs no checksum: none of its files is downloaded")
    print_now(f"{dataset.loader.source.pin(print_now)} is written; commit it")
