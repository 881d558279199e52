"""Handlers of the commands check and pin, for models and for datasets."""

from __future__ import annotations

import argparse

from ingest import __main__ as program
from ingest.commands.faults import explained
from zoo.command_line import UsageError, names
from zoo.commands.families import check_cards
from zoo.commands.models import pin_weights


def check(options: argparse.Namespace) -> int:
    """Check the cards of families, and whether models behave as their cards say.

    Args:
        options: model, family, dummy, device.

    Returns:
        The exit code.
    """
    code = check_cards(names(options.family))
    if options.model is not None:
        with explained(options):
            code = max(code, program.check_models(options))
    return code


def pin(options: argparse.Namespace) -> int:
    """Record the hashes of models' weights, or of a dataset's files.

    Args:
        options: model or dataset, again.

    Returns:
        The exit code.

    Raises:
        UsageError: neither is given, or both.
    """
    if (options.model is None) == (options.dataset is None):
        raise UsageError("name what to pin: models, or --dataset NAME")
    if options.model is not None:
        return pin_weights(options.model, again=options.again)
    with explained(options):
        return program.pin(options)
