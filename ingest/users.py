"""Users of one machine, or of a cluster, who work on the same store."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def user_name(number: int | None = None) -> str:
    """Return the name of a user, or its number if it has none here.

    Args:
        number: The user's number; None is who runs this process.
    """
    uid = os.geteuid() if number is None else number
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def describe_owner(path: Path) -> str:
    """Return whose a path is that this user may not write to, and how users share a store.

    Args:
        path: A file or folder, which need not exist.

    Returns:
        A sentence, or '' if it is this user's own.
    """
    there = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
    owner = there.lstat().st_uid if os.path.lexists(there) else os.geteuid()
    if owner == os.geteuid():
        return ""
    return (
        f"{there} is {user_name(owner)}'s, and this is {user_name()}; for users who share a store, "
        "see docs/slurm.md"
    )
