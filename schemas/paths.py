"""Where a store's data, vectors and cache lie, and how a store's file is recognized."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

VECTORS = "vectors"  # in a data folder: the folder of vector files
NODES = "nodes"  # in a data folder: the folder of vector files of atoms and residues
MEMORY = ":memory:"  # the path of an empty store that lives as long as its connection


def default_store() -> Path:
    """Return the store that MATTERZOO_STORE names, else `matter.duckdb` in the current folder."""
    return Path(os.environ.get("MATTERZOO_STORE") or "matter.duckdb")


def write_for_group(store: str | Path | None) -> None:
    """Let the group of a shared folder write to what this process makes, whatever its umask is.

    A folder is shared if its group may write to it, and what is made in it is the same group's:
    `chmod g+rws FOLDER`.

    Args:
        store: The store in that folder; None is the default.
    """
    folder, shared = Path(store or default_store()).absolute().parent, stat.S_ISGID | stat.S_IWGRP
    if folder.is_dir() and folder.stat().st_mode & shared == shared:
        os.umask(os.umask(0o077) & ~stat.S_IRWXG)


def data_folder(path: str | Path) -> Path:
    """Return the folder beside a store that holds all that it can be made again from.

    Args:
        path: The store.

    Returns:
        `matter.data` for `matter.duckdb`. A store with another suffix keeps it: `exp.1` and `exp.2`
        are two experiments, with `exp.1.data` and `exp.2.data`.
    """
    file = Path(path)
    if file.suffix == ".duckdb":
        return file.with_suffix(".data")
    return file.with_name(f"{file.name}.data")


def cache_folder(path: str | Path) -> Path:
    """Return the folder of what questions found and may find again.

    It can be removed at any time.

    Args:
        path: The store.
    """
    return data_folder(path) / "cache"


def vectors_folder(path: str | Path) -> Path:
    """Return the folder of the Parquet files that hold a store's vectors.

    Args:
        path: The store.
    """
    return data_folder(path) / VECTORS


def nodes_folder(path: str | Path) -> Path:
    """Return the folder of the Parquet files that hold a store's vectors of atoms and residues.

    Args:
        path: The store.
    """
    return data_folder(path) / NODES


def escape_glob(path: str | Path) -> str:
    """Return a path for read_parquet in which `*`, `?` and `[` stand for themselves.

    Args:
        path: A file that exists, in a folder of any name.
    """
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def is_duckdb(path: str | Path) -> bool:
    """Return whether a file begins as those of DuckDB do.

    Args:
        path: An existing file.
    """
    with Path(path).open("rb") as file:
        return file.read(12)[8:] == b"DUCK"
