"""Readers of users' files, one module a format, found by suffix or file name.

Each yields entries one at a time, so that memory does not grow with the file. What concerns one entry makes that entry
unreadable; what concerns the file is a DatasetError.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest.systems import Dataset, DatasetError, Entry, Unreadable

ID_KEYS = ("id", "system_id", "material_id", "mat_id", "mol_id", "uid")


@dataclass(frozen=True)
class Reader:
    """How files of one format become entries. A module here that defines READER is one."""

    suffixes: tuple[str, ...]  # lower case, with the dot
    entries: Callable[[Path], Iterator[Entry | Unreadable]]
    packages: tuple[str, ...]
    code: tuple[str, ...]  # the files whose code decides the entries
    names: tuple[str, ...] = ()  # upper case; files known by how their name begins rather than how it ends

    def suffix_of(self, path: Path) -> str:
        """The suffix of this reader that the file has, '' if none."""
        return next((suffix for suffix in self.suffixes if path.name.lower().endswith(suffix)), "")

    def knows(self, path: Path) -> bool:
        return bool(self.suffix_of(path)) or any(path.name.upper().startswith(name) for name in self.names)


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
    reader = next((reader for reader in load_readers() if reader.knows(path)), None)
    if reader is None:
        raise DatasetError(f"{path}: no reader for {path.suffix or path.name!r}; expected {', '.join(suffixes())}")
    return Dataset(
        name=_dataset_name(path, reader),
        title=f"Systems of {path.name}",
        source=str(path.resolve()),  # tells two files of one name apart
        licence="the user's own file",
        packages=reader.packages,
        entries=partial(_text_checked, reader, path),
        made_from=(__file__, *reader.code, str(path)),
    )


def _dataset_name(path: Path, reader: Reader) -> str:
    stem = path.name.lower().removesuffix(reader.suffix_of(path))
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "file"


def _text_checked(reader: Reader, path: Path) -> Iterator[Entry | Unreadable]:
    try:
        yield from reader.entries(path)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not a text file, which {path.suffix or path.name} must be (byte {error.start}: {error.reason})"
        ) from error


def id_of(fields: Mapping[str, Any], otherwise: object) -> str:
    """The id that an entry's own fields give, or else another."""
    given = (str(fields[key]).strip() for key in ID_KEYS if fields.get(key) is not None)
    return next((value for value in given if value), str(otherwise))


def integer_of(fields: Mapping[str, Any], key: str) -> int | None:
    """A whole number among an entry's fields, None where it has none. Raises ValueError for 0.5 or 'none'."""
    value = fields.get(key)
    if value is None:
        return None
    if float(value) != int(float(value)):
        raise ValueError(f"{key} = {value!r} is not a whole number")
    return int(float(value))


def reason(parser: str, error: Exception) -> str:
    """A parser's exception in one line."""
    return " ".join(f"{parser} cannot read it: {type(error).__name__}: {error}".split())
