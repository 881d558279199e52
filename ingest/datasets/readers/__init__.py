"""Readers of users' files, one module a format, found by suffix or file name."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from ingest.systems import Dataset, DatasetError, Entry, Unreadable


@dataclass(frozen=True)
class Reader:
    """How files of one format become entries. A module here that defines READER is one."""

    suffixes: tuple[str, ...]  # lower case, with the dot
    entries: Callable[[Path], Iterator[Entry | Unreadable]]
    packages: tuple[str, ...]
    code: str  # the module's file
    names: tuple[str, ...] = ()  # upper case; files known by how their name begins rather than how it ends


def load_readers() -> list[Reader]:
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return [module.READER for module in modules if hasattr(module, "READER")]


def suffixes() -> list[str]:
    """What the readers read, for messages."""
    return sorted({name for reader in load_readers() for name in (*reader.suffixes, *reader.names)})


def read_file(path: Path) -> Dataset:
    """A user's file as a dataset, named by its stem. Nothing is read yet but what its name says."""
    if path.is_dir():
        raise DatasetError(f"{path} is a folder; give one file ({', '.join(suffixes())})")
    if not path.stat().st_size:
        raise DatasetError(f"{path} is empty (0 bytes)")
    reader = _reader_of(path)
    name = re.sub(r"[^a-z0-9._-]+", "-", path.name.lower().removesuffix(_suffix_of(path, reader))).strip("-._")
    return Dataset(
        name=name or "file",
        title=f"Systems of {path.name}",
        source=str(path),
        licence="the user's own file",
        packages=reader.packages,
        entries=partial(reader.entries, path),
        made_from=(reader.code, str(path)),
    )


def _reader_of(path: Path) -> Reader:
    for reader in load_readers():
        if _suffix_of(path, reader) or path.name.upper().startswith(reader.names or ("\0",)):
            return reader
    raise DatasetError(f"{path}: no reader for {path.suffix or path.name!r}; expected {', '.join(suffixes())}")


def _suffix_of(path: Path, reader: Reader) -> str:
    return next((s for s in reader.suffixes if path.name.lower().endswith(s)), "")
