"""Users of one machine, or of a cluster, who work on the same store."""

from __future__ import annotations

import os
import pwd
import stat
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


def write_for_group(folder: Path) -> None:
    """Let the group of a shared folder write to what this process makes, whatever its umask is.

    A folder is shared if its group may write to it, and what is made in it is the same group's:
    `chmod g+rws FOLDER`.

    Args:
        folder: Holds a store.
    """
    shared = stat.S_ISGID | stat.S_IWGRP
    if folder.is_dir() and folder.stat().st_mode & shared == shared:
        os.umask(os.umask(0o077) & ~stat.S_IRWXG)


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
