"""Finding the reader of a file, by its suffix or its name, and the file as a dataset."""

from __future__ import annotations

import pkgutil
import re
from functools import partial
from importlib import import_module
from pathlib import Path

import ingest.readers
from ingest.readers.shared import fields, guard, packed, reader, text
from ingest.readers.shared.guard import read_entries
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.reader import Reader
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError

# The code that decides the entries of every format, in addition to the format's own.
_SHARED_CODE = (reader.__file__, fields.__file__, guard.__file__, packed.__file__, text.__file__)


def load_readers() -> list[Reader]:
    """Return the reader of every format: the modules of `ingest.readers` that define READER."""
    package = ingest.readers
    modules = [
        import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return [module.READER for module in modules if hasattr(module, "READER")]


def known_suffixes() -> list[str]:
    """Return how names of files that can be read end or begin, sorted, for messages."""
    return sorted({name for known in load_readers() for name in (*known.suffixes, *known.names)})


def file_dataset(path: Path) -> Dataset:
    """Return a user's file as a dataset, named by its stem; the file is not read yet.

    Args:
        path: An existing file or folder.

    Raises:
        DatasetError: It is a folder, is empty, or has a name that no reader knows.
    """
    if path.is_dir():
        raise DatasetError(f"{path} is a folder; give one file ({', '.join(known_suffixes())})")
    if not path.stat().st_size:
        raise DatasetError(f"{path} is empty (0 bytes)")
    chosen = _reader_of(path)
    if chosen is None:
        raise DatasetError(
            f"{path}: no reader for {plain_name(path).suffix or path.name!r}; "
            f"expected {', '.join(known_suffixes())}, each also compressed (.gz)"
        )
    return Dataset(
        name=_dataset_name(path, chosen),
        title=f"Systems of {path.name}",
        source=str(path.resolve()),  # distinguishes two files of one name
        license="the user's own file",
        packages=chosen.packages,
        entries=partial(read_entries, chosen, path),
        made_from=(*_SHARED_CODE, *chosen.code, str(path)),
    )


def _reader_of(path: Path) -> Reader | None:
    """Find the reader by suffix, or else by how the name begins (POSCAR_1.csv is a table)."""
    readers = load_readers()
    by_suffix = (known for known in readers if known.suffix_of(path))
    by_name = (known for known in readers if known.knows_name(path))
    return next(by_suffix, None) or next(by_name, None)


def _dataset_name(path: Path, chosen: Reader) -> str:
    stem = plain_name(path).name.lower().removesuffix(chosen.suffix_of(path))
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "file"
