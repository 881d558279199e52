"""Handlers of the commands about families: lock, new, and the check of their cards."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from zoo.cards.base import CardError
from zoo.cards.discovery import family_folders, find_families, load_models, search_path
from zoo.cards.faults import find_faults
from zoo.cards.requirements import lock
from zoo.cards.scaffold import write_family
from zoo.errors import did_you_mean


def lock_families(options: argparse.Namespace) -> int:
    """Resolve the requirements of a family, or of all, into their locks.

    Args:
        options: Family, upgrade.

    Returns:
        The exit code.
    """
    for family in find_families(options.family):
        changes = lock(family, upgrade=options.upgrade)
        print(f"{family.lock}: {', '.join(changes) if changes else 'nothing is new'}")
    return 0


def new_family(options: argparse.Namespace) -> int:
    """Write the folder of a new family, and print what comes next.

    Args:
        options: Name, folder.

    Returns:
        The exit code.
    """
    parent = (options.folder or search_path()[-1]).resolve()
    folder = write_family(options.name, parent)
    found = parent in (path.resolve() for path in search_path())
    elsewhere = "" if found else f"export MATTERZOO_FAMILIES={parent}\n"
    print(
        f"{folder} is a family that runs once it is locked. Fill in its files, then:\n{elsewhere}"
        f"matterzoo lock {options.name}\nmatterzoo check --family {options.name}\n"
        f"matterzoo ingest {options.name}-composition aflow"
    )
    return 0


def check_cards(families: Sequence[str]) -> int:
    """Print whether the cards, encoders and locks of families have no faults.

    Args:
        families: Their names; empty for all.

    Returns:
        The exit code.

    Raises:
        CardError: Every fault, one per line, or a family that does not exist.
    """
    folders = {folder.name: folder for folder in family_folders()}
    for name in families:
        if name not in folders:
            raise CardError(f"no family is named {name!r}; {did_you_mean(name, folders)}")
    chosen = families or list(folders)
    faults = find_faults([folders[name] for name in chosen])
    if faults:
        raise CardError("\n".join(faults))
    models = [s for s in load_models().values() if s.family.name in chosen]
    print(f"{len(chosen)} families, {len(models)} models: no faults")
    return 0
