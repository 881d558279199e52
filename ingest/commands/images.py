"""Handlers of the commands about container images."""

from __future__ import annotations

import argparse
import json
import os
import sys

from ingest.images import operations
from ingest.images.build import BuildOptions
from ingest.images.engine import connected
from ingest.images.status import changed_families, describe_images, stale_families
from ingest.images.wheels import fetch_wheels
from ingest.runtimes import choose_runtime
from ingest.runtimes.check_image import check_image as compare_golden_vectors
from zoo.cards.discovery import find_families, find_family, find_model
from zoo.cards.family import Family
from zoo.command_line import UsageError, print_now


def list_images(options: argparse.Namespace) -> int:
    """Print a line per family: which images are here, published, stale.

    Args:
        options: None.

    Returns:
        The exit code.
    """
    with connected() as client:
        for row in describe_images(client):
            print(row)
    return 0


def build(options: argparse.Namespace) -> int:
    """Build the image of a family, or of all.

    Args:
        options: Family, base, builder, torch, offline, no_cache.

    Returns:
        The exit code.
    """
    how = BuildOptions(
        options.base or os.environ.get("MATTERZOO_BASE"),
        options.builder or os.environ.get("MATTERZOO_BUILDER"),
        options.torch or os.environ.get("MATTERZOO_TORCH_BACKEND"),
        options.offline,
        not options.no_cache,
    )
    find_families(options.family)  # a wrong name is refused before an engine is looked for
    operations.build_images(options.family, how, print_now)
    return 0


def push(options: argparse.Namespace) -> int:
    """Push images to a registry, and record their digests.

    Args:
        options: Family, registry, uncommitted.

    Returns:
        The exit code.
    """
    find_families(options.family)
    operations.push_images(
        options.family, options.registry, print_now, uncommitted=options.uncommitted
    )
    return 0


def pull(options: argparse.Namespace) -> int:
    """Pull published images by their digests.

    Args:
        options: Family or model.

    Returns:
        The exit code.

    Raises:
        UsageError: Neither is given, or both.
    """
    if (options.family is None) == (options.model is None):
        raise UsageError("name what to pull: a family, all, or --model chgnet-0.3.0")
    family = options.family or find_model(options.model).family.name
    find_families(family)
    operations.pull_images(family, print_now)
    return 0


def save(options: argparse.Namespace) -> int:
    """Write the image of a family, or of all that have one, to an archive.

    Args:
        options: Family.

    Returns:
        The exit code.
    """
    find_families(options.family)
    operations.save_images(options.family, print_now)
    return 0


def wheels(options: argparse.Namespace) -> int:
    """Download the wheels that images are built from.

    Args:
        options: Family, python, machine.

    Returns:
        The exit code.
    """

    def fetch(family: Family) -> None:
        fetch_wheels(family, print_now, python=options.python, machine=options.machine)

    operations.for_each_image(options.family, fetch, print_now)
    return 0


def check_image(options: argparse.Namespace) -> int:
    """Compute a family's golden vectors inside its image, and print what differs.

    Args:
        options: Family, runtime.

    Returns:
        The exit code.
    """
    family = find_family(options.family)
    runtime, _ = choose_runtime(options.runtime, [family])
    faults = compare_golden_vectors(runtime, family, print_now)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def changed_images(options: argparse.Namespace) -> int:
    """Print the families whose image a change touches, as JSON.

    Args:
        options: Since.

    Returns:
        The exit code.
    """
    print(json.dumps(changed_families(options.since)))
    return 0


def stale_images(options: argparse.Namespace) -> int:
    """Print the families with no published image, or one of an older recipe, as JSON.

    Args:
        options: None.

    Returns:
        The exit code.
    """
    print(json.dumps(stale_families()))
    return 0
