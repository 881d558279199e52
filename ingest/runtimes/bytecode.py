"""Bytecode of modules that several environments have as the same files, compiled once.

Where uv can, it links the files of a package from its cache, so that they are the same files in
every environment. Python would still compile them in each, which takes longer than to install them
(`text` beside `chgnet`: 2,100 of 2,400 modules are the same files).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CACHE = "__pycache__"  # where Python keeps a folder's bytecode


def share_bytecode(environment: Path, others: Iterable[Path]) -> int:
    """Link the bytecode that other environments have of the very files of an environment.

    Python compares it with the time and size of its source, as it does with its own, and replaces
    a file of bytecode instead of writing to it. So no environment depends on another. What another
    user has written is not linked, as it decides what runs.

    Args:
        environment: A new environment.
        others: The folders of other environments. One that is removed meanwhile does no harm.

    Returns:
        How many files were linked.
    """
    linked = 0
    for other in others:
        for name, _, files in os.walk(other / "lib"):
            if name.endswith(f"{os.sep}{CACHE}"):
                folder = Path(name)
                linked += _link(folder, environment / folder.relative_to(other), files)
    return linked


def _link(cache: Path, target: Path, names: Iterable[str]) -> int:
    """Link what is missing in a folder of bytecode, and return how many files that is."""
    if not target.parent.is_dir():
        return 0
    linked, user = 0, os.geteuid()
    for name in names:
        source = f"{name.partition('.')[0]}.py"
        with suppress(OSError):  # it is there already, or is no module of both, or has gone
            same = (cache.parent / source).samefile(target.parent / source)
            if same and (cache / name).stat().st_uid == user:
                target.mkdir(exist_ok=True)
                os.link(cache / name, target / name)
                linked += 1
    return linked
