"""Put a new store in the place of an old one, each with its write-ahead log (WAL)."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.files import fsync


def new_store(store: Path) -> Path:
    """Return the path at which a new store is made, beside the one that it is to replace.

    Args:
        store: The store that is to be replaced.
    """
    return store.with_name(f".{store.name}.{os.getpid()}.new")


def store_state(store: Path) -> list[tuple[int, int, int]]:
    """Return what changes if a store's file, or its WAL, is written: inode, size and time of each.

    Args:
        store: A store, which need not exist.
    """
    files = [file for file in (store, _wal(store)) if file.exists()]
    return [
        (status.st_ino, status.st_size, status.st_mtime_ns)
        for status in (file.stat() for file in files)
    ]


def exchange_store(store: Path, new: Path, keep: str | None) -> Path | None:
    """Put a new store in the place of the old one.

    A WAL is part of its store: beside another store, DuckDB would replay it into that one.

    Args:
        store: The old store, which need not exist.
        new: The new store, whole.
        keep: The word by which the old store is kept beside the new one, `broken` or `before`;
            None keeps it only if it has a WAL.

    Returns:
        Where the old store is kept; None if it is not.
    """
    kept = None
    if store.exists() and (keep or _wal(store).exists()):
        kept = _free_name(store, keep or "before")
        try:
            os.link(store, kept)
        except OSError:  # a file system without hard links
            store.rename(kept)
    if _wal(store).exists():
        _wal(store).rename(_wal(kept or _free_name(store, "broken")))
    new.replace(store)
    fsync(store.parent)
    return kept


def discard_store(store: Path) -> None:
    """Remove a store's file and its WAL, as far as they are there.

    Args:
        store: The store.
    """
    for path in (store, _wal(store)):
        path.unlink(missing_ok=True)


def _free_name(store: Path, word: str) -> Path:
    """Return store.broken, or store.broken.2 and so on: what was kept before stays."""
    first = store.with_name(f"{store.name}.{word}")
    number, path = 2, first
    while path.exists() or _wal(path).exists():
        number, path = number + 1, first.with_name(f"{first.name}.{number}")
    return path


def _wal(store: Path) -> Path:
    return store.with_name(f"{store.name}.wal")
