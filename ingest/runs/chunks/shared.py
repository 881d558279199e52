"""Copies of parts of a dataset: the jobs of all models that are sent a part are links to one file.

They lie in the folder `chunks` of the dataset's own folder, and go when the dataset is made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zoo.worker.sealed import stamp

FOLDER = "chunks"
DIGITS = 16  # of the hashes in a file's name: which systems it holds, and which bytes


def link_or_write(
    dataset: Path, systems_hash: str, target: Path, write: Callable[[Path], object]
) -> None:
    """Have a part of a dataset in a file: as a link to what another job was sent, or written now.

    Args:
        dataset: The dataset's folder.
        systems_hash: The hash of ids and contents of the part's systems, hexadecimal.
        target: The file, which must not exist.
        write: Writes the part to the path that it is given.
    """
    key = systems_hash[:DIGITS]
    for there in (dataset / FOLDER).glob(f"{key}-*.parquet"):
        if there.name == _name(key, there):
            if link(there, target):
                return
        else:  # its bytes have changed
            there.unlink(missing_ok=True)
    write(target)
    with suppress(OSError):  # to share is not necessary
        _share(dataset / FOLDER, key, target)


def link(source: Path, target: Path) -> bool:
    """Make a hard link; return whether the file system knows them.

    Args:
        source: An existing file.
        target: The link, which must not exist.
    """
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _share(folder: Path, key: str, file: Path) -> None:
    """Link a part for other jobs to use, and remove those that no job uses any more."""
    folder.mkdir(exist_ok=True)
    for other in folder.glob("*.parquet"):
        if other.stat().st_nlink == 1:
            other.unlink()
    link(file, folder / _name(key, file))


def _name(key: str, file: Path) -> str:
    return f"{key}-{stamp(file)['sha256'][:DIGITS]}.parquet"
