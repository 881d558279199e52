"""Handlers of the commands env, doctor, rebuild, du and clean."""

from __future__ import annotations

import argparse

from ingest import __main__ as program
from ingest.commands.faults import explained
from ingest.images import operations
from ingest.layout import Layout
from ingest.maintenance.confirm import confirm
from ingest.maintenance.doctor import diagnose, show
from zoo.command_line import UsageError, print_now, switches


def build_environment(options: argparse.Namespace) -> int:
    """Build the local environments of families.

    Args:
        options: family.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.env(options)


def doctor(options: argparse.Namespace) -> int:
    """Print what this machine can run models with.

    Args:
        options: store.

    Returns:
        The exit code.
    """
    return show(diagnose(Layout.find(options.store).store))


def rebuild_store(options: argparse.Namespace) -> int:
    """Make the store again from its shards.

    Args:
        options: store.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.make_again(options)


def disk_usage(options: argparse.Namespace) -> int:
    """Print what takes how much disk.

    Args:
        options: store.

    Returns:
        The exit code.
    """
    with explained(options):
        return program.du(options)


def clean(options: argparse.Namespace) -> int:
    """Remove what is named: models' vectors, an environment, the cache, or images.

    Args:
        options: model, dataset, store, env, cache, images, yes.

    Returns:
        The exit code.

    Raises:
        UsageError: nothing is named, or several things.
    """
    if len(switches(options, ("model", "env", "cache", "images"))) != 1:
        raise UsageError(
            "name what to remove: MODEL [DATASET], --env FAMILY, --cache, or --images FAMILY"
        )
    if options.images is None:
        with explained(options):
            return program.clean(options)
    operations.clean_images(
        options.images, lambda lines, would: confirm(lines, would, options.yes), print_now
    )
    return 0
