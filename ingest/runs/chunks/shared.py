"""Copies of parts of a dataset: the jobs of all models that are sent a part are links to one file.

They lie in the folder `chunks` of the dataset's own folder, and go when the dataset is made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.systems.materialized import MaterializedDataset
from zoo.files import write_atomically
from zoo.worker.sealed import stamp

FOLDER = "chunks"
DIGITS = 16  # of the hashes in a file's name: which systems it holds, and which bytes
# Stamps of parts by inode, size and time of change, so that a process reads a part once, however
# many jobs it links it to.
_stamps: dict[tuple[int, ...], dict[str, Any]] = {}


@dataclass(frozen=True)
class Part:
    """The systems of a dataset that a run computes.

    Attributes:
        dataset: The dataset.
        sent: How many systems.
        systems_hash: The SHA-256 over their ids and content hashes.
        copy: Writes them, in the order of the dataset, to the path that it is given.
    """

    dataset: MaterializedDataset
    sent: int
    systems_hash: str
    copy: Callable[[Path], object]

    def write(self, path: Path) -> None:
        """Have the part in a file: the dataset's own if it is all of it, or a copy of some.

        Args:
            path: The file. Its folder is made where it is missing.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self._write)

    def _write(self, temporary: Path) -> None:
        temporary.unlink(missing_ok=True)
        if self.sent != self.dataset.n_systems or not link(self.dataset.systems, temporary):
            link_or_write(self.dataset.folder, self.systems_hash, temporary, self.copy)


def known_stamp(path: Path) -> dict[str, Any]:
    """Return the stamp of a part, which is read if this process has not read it as it is now.

    Args:
        path: The file of a job or of the folder of parts; links are one file.
    """
    status = path.stat()
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    if key not in _stamps:
        _stamps[key] = stamp(path)
    return _stamps[key]


def find_shared(dataset: Path, systems_hash: str) -> Path | None:
    """Return the file of a part that another job was sent, if it is as it was written.

    Args:
        dataset: The dataset's folder.
        systems_hash: The hash of ids and contents of the part's systems, hexadecimal.
    """
    key = systems_hash[:DIGITS]
    for there in (dataset / FOLDER).glob(f"{key}-*.parquet"):
        if there.name == _name(key, there):
            return there
        there.unlink(missing_ok=True)  # its bytes have changed
    return None


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
    shared = find_shared(dataset, systems_hash)
    if shared is not None and link(shared, target):
        return
    write(target)
    with suppress(OSError):  # to share is not necessary
        _share(dataset / FOLDER, systems_hash[:DIGITS], target)


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
    return f"{key}-{known_stamp(file)['sha256'][:DIGITS]}.parquet"
