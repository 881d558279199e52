"""A user's own file, folder or glob of files as a dataset."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from ingest.readers import folders
from ingest.readers.shared import fields, guard, packed, reader, text
from ingest.readers.shared.discovery import expected_files, load_readers, reader_of
from ingest.readers.shared.guard import read_entries
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.reader import Reader
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError

_LICENSE = "the user's own files"
_LETTERS = 100  # of a dataset's name; it is part of a folder's name, which may have 255 bytes
# The code that decides the entries of every format, in addition to the format's own.
_SHARED_CODE = (
    reader.__file__,
    fields.__file__,
    guard.__file__,
    packed.__file__,
    text.__file__,
)


def own_dataset(source: str, name: str | None = None, *, numbered: bool = False) -> Dataset:
    """Return a file, a folder or a glob as a dataset; no file is read yet.

    Args:
        source: What a user typed; `folders.source_exists` says that it is there.
        name: What the dataset is to be called; None takes the name of the file or the folder.
        numbered: Whether rows of tables that have no ids are numbered from 0.

    Raises:
        DatasetError: A file is empty or has a name that no reader knows, a folder has no file that
            can be read, or the name cannot be one.
    """
    if name is not None:
        _refuse_name(name)
    if Path(source).is_file():
        dataset, readers = _file_dataset(Path(source), name, numbered)
    else:
        dataset, readers = _folder_dataset(source, name, numbered)
    if numbered and any(chosen.numbered is not None for chosen in readers):
        return replace(dataset, numbered=True, words=(*dataset.words, "numbered"))
    return dataset


def _file_dataset(path: Path, name: str | None, numbered: bool) -> tuple[Dataset, list[Reader]]:
    if not path.stat().st_size:
        raise DatasetError(f"{path} is empty (0 bytes)")
    chosen = reader_of(path, load_readers())
    if chosen is None:
        raise DatasetError(
            f"{path}: no reader for {plain_name(path).suffix or path.name!r}; "
            f"expected {expected_files()}"
        )
    stem = plain_name(path).name.lower().removesuffix(chosen.suffix_of(path))
    dataset = Dataset(
        name=name or _name_of(stem),
        title=f"Systems of {path.name}",
        source=str(path.resolve()),  # distinguishes two files of one name
        license=_LICENSE,
        packages=chosen.packages,
        entries=partial(read_entries, chosen.with_numbers() if numbered else chosen, path),
        made_from=(*_SHARED_CODE, *chosen.code, str(path)),
        words=(path.name,),
    )
    return dataset, [chosen]


def _folder_dataset(source: str, name: str | None, numbered: bool) -> tuple[Dataset, list[Reader]]:
    files = folders.find_files(source)
    readers = list({id(member.reader): member.reader for member in files.members}.values())
    paths = [str(member.path) for member in files.members if os.access(member.path, os.R_OK)]
    code = dict.fromkeys(file for chosen in readers for file in chosen.code)
    dataset = Dataset(
        name=name or _name_of(files.root.resolve().name.lower()),
        title=f"Systems of {len(files.members)} files in {files.root.resolve().name}",
        source=files.source,
        license=_LICENSE,
        packages=tuple(dict.fromkeys(x for chosen in readers for x in chosen.packages)),
        entries=partial(files.entries, numbered=numbered),
        made_from=(*_SHARED_CODE, folders.__file__, *code, *paths),
        # With their suffixes, as those say how a file is read.
        words=tuple(member.path.relative_to(files.root).as_posix() for member in files.members),
    )
    return dataset, readers


def _refuse_name(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) or len(name) > _LETTERS:
        raise DatasetError(
            f"{name!r:.{_LETTERS}} cannot be a dataset's name; expected a-z, 0-9, '.', '_' and "
            f"'-', such as my-crystals, and at most {_LETTERS} letters"
        )


def _name_of(stem: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "file"
