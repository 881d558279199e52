"""Handlers of the commands env, doctor, rebuild, migrate, du and clean."""

from __future__ import annotations

import argparse
from functools import partial

from ingest.commands.faults import explained
from ingest.layout import Layout
from ingest.maintenance.clean import clean_cache, clean_environment, clean_models
from ingest.maintenance.clean_submissions import clean_matrices, clean_submissions
from ingest.maintenance.confirm import confirm
from ingest.maintenance.disk import describe_usage
from ingest.maintenance.migrate import migrate_store
from ingest.maintenance.rebuild import rebuild
from ingest.runtimes import environment
from zoo.cards.discovery import find_families
from zoo.command_line import UsageError, call, print_now, switches


def build_environment(options: argparse.Namespace) -> int:
    """Build the local environments of families.

    Args:
        options: Family.

    Returns:
        The exit code.
    """
    with explained(options):
        for family in find_families(options.family):
            if environment.ready(family):
                print_now(f"{family.name}: its environment is there and up to date")
            environment.build(family, print_now)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Print what this machine can run models with.

    Args:
        options: Store.

    Returns:
        The exit code.
    """
    # They ask an engine, whose client takes a tenth of a second to import.
    from ingest.maintenance.doctor import diagnose, show

    return show(diagnose(Layout.find(options.store).store))


def rebuild_store(options: argparse.Namespace) -> int:
    """Make the store again from its runs.

    Args:
        options: Store.

    Returns:
        The exit code.
    """
    with explained(options):
        layout = Layout.find(options.store)
        count = rebuild(layout, print_now)
        print_now(f"{layout.store} is made again from {count} runs")
    return 0


def migrate(options: argparse.Namespace) -> int:
    """Bring a store of an earlier version into the form of today.

    Args:
        options: Store.

    Returns:
        The exit code.
    """
    with explained(options):
        print_now(migrate_store(Layout.find(options.store), print_now))
    return 0


def disk_usage(options: argparse.Namespace) -> int:
    """Print what takes how much disk.

    Args:
        options: Store.

    Returns:
        The exit code.
    """
    with explained(options):
        for line in describe_usage(Layout.find(options.store)):
            print_now(line)
    return 0


def clean(options: argparse.Namespace) -> int:
    """Remove what is named: models' vectors, an environment, the cache, matrices, images, and more.

    Args:
        options: Model, dataset, store, env, cache, submissions, matrices, images, yes.

    Returns:
        The exit code.

    Raises:
        UsageError: Nothing is named, or several things.
    """
    kinds = ("model", "env", "cache", "submissions", "matrices", "images")
    if len(switches(options, kinds)) != 1:
        raise UsageError(
            "name what to remove: MODEL [DATASET], --env FAMILY, --cache, --submissions NAMES, "
            "--matrices KEYS, or --images FAMILY"
        )
    if options.images is None:
        with explained(options):
            for removed in _clean(options):
                print_now(f"removed {removed}")
        return 0
    from ingest.images import operations  # as in `doctor`

    operations.clean_images(
        options.images, lambda lines, would: confirm(lines, would, options.yes), print_now
    )
    return 0


def _clean(options: argparse.Namespace) -> list[str]:
    """Remove what is named, and return what was removed."""
    if options.env is not None:
        return clean_environment(options.env)
    layout = Layout.find(options.store)
    if options.cache:
        return clean_cache(layout)
    if options.submissions is not None:
        return clean_submissions(layout, options.submissions, yes=options.yes)
    if options.matrices is not None:
        find_outdated = partial(call, options.outdated, options)
        return clean_matrices(layout, options.matrices, find_outdated, yes=options.yes)
    return clean_models(layout, options.model, options.dataset, yes=options.yes)
