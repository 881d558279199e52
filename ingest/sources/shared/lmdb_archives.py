"""Published archives (.tar.gz) of ASE's LMDB databases: OMat24, sAlex and OMol25.

The id of a system is `<archive>/<database>:<number of the row>`, as in `rattled-300/val:31085`.
Unlike the publishers' own `sid` and `source`, it is known before a row is decoded, and no two rows
share one. LMDB needs a file, so the databases are unpacked one at a time.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.readers.shared import aselmdb_rows
from ingest.readers.shared.guard import parser_reason
from ingest.sources.shared.downloaded import DownloadedDataset, downloaded
from ingest.sources.shared.source import LabelColumn, Source
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable

if TYPE_CHECKING:
    from lmdb import Transaction

_SUFFIX = ".aselmdb"
_BLOCK = 2**20  # bytes that are copied or read at once
_ARCHIVE_ERRORS = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)

OpenDatabase = Callable[[], AbstractContextManager["Transaction"]]


def downloaded_archives(module: str) -> DownloadedDataset:
    """Return the dataset of a module with a TOML file of archives beside it.

    The files in the TOML file are archives of databases, and the keys of its labels are keys of
    rows.

    Args:
        module: The file of the module.

    Raises:
        DatasetError: The TOML file is wrong.
    """
    code = (__file__, aselmdb_rows.__file__)
    return downloaded(module, _ids, _read, packages=("lmdb",), code=code)


def _ids(source: Source) -> Iterator[str]:
    """List every row of every database of every archive."""
    for file in source.facts.file:
        for database, unpack in _databases(source.folder, file.path):
            with unpack() as rows:
                for number in aselmdb_rows.row_numbers(rows):
                    yield f"{database}:{number}"


def _read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    """Read rows in the order of the files; a database without any of them is not unpacked."""
    wanted = defaultdict(list)
    for source_id in chosen:
        database, _, number = source_id.rpartition(":")
        wanted[database].append(number)
    for file in source.facts.file:
        if not any(database.startswith(f"{_stem(file.path)}/") for database in wanted):
            continue
        for database, unpack in _databases(source.folder, file.path):
            if database in wanted:
                with unpack() as rows:
                    for number in wanted[database]:
                        yield _entry(f"{database}:{number}", rows, number, source.facts.label)


def _entry(
    name: str, rows: Transaction, number: str, columns: Sequence[LabelColumn]
) -> Entry | Unreadable:
    try:
        row = aselmdb_rows.read_row(rows, number)
        return aselmdb_rows.row_entry(name, row, tuple(_labels(row, columns)))
    except aselmdb_rows.ROW_ERRORS as error:
        return Unreadable(name, parser_reason("ASE", error))


def _labels(row: aselmdb_rows.Row, columns: Sequence[LabelColumn]) -> Iterator[Label]:
    """Yield the properties that the row gives as one number, or as a list of one number."""
    fields = {**aselmdb_rows.row_fields(row), **row}
    for column in columns:
        if fields.get(column.key) is None:
            continue
        values: Any = np.atleast_1d(aselmdb_rows.read_array(fields[column.key]))
        if len(values) == 1 and np.isfinite(values[0]):
            yield Label(column.property, float(values[0]), column.unit, column.source)


def _databases(folder: Path, archive: str) -> Iterator[tuple[str, OpenDatabase]]:
    """Yield the name of each database of an archive, and how to unpack and open it.

    A database can be opened only until the next one is asked for.
    """
    path = folder / archive
    with _naming_faults(path), tarfile.open(path, "r:gz") as tar:
        for member in tar:
            inside = PurePosixPath(member.name)
            if member.isfile() and inside.suffix == _SUFFIX and not inside.name.startswith("."):
                parts = [part for part in inside.with_suffix("").parts if part not in (".", "/")]
                if parts[0] == PurePosixPath(_stem(archive)).name and len(parts) > 1:
                    del parts[0]  # the folder in the archive has the archive's name
                yield "/".join([_stem(archive), *parts]), partial(_unpack, tar, member, path)
        while tar.fileobj and tar.fileobj.read(_BLOCK):
            pass  # to the end of the file, where its checksum is


def _stem(archive: str) -> str:
    return archive.removesuffix(".tar.gz")


@contextmanager
def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> Iterator[Transaction]:
    """Open a database of an archive. Its file lies beside the archive, or in TMPDIR."""
    beside = archive.parent if os.access(archive.parent, os.W_OK) else None
    with TemporaryDirectory(prefix=f".{archive.name}.", dir=beside) as folder:
        path = Path(folder) / PurePosixPath(member.name).name
        with _naming_faults(archive), path.open("wb") as file:
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            shutil.copyfileobj(content, file, _BLOCK)
        with aselmdb_rows.open_database(path) as rows:
            yield rows


@contextmanager
def _naming_faults(archive: Path) -> Iterator[None]:
    """Name the archive in errors about it or about unpacking it."""
    try:
        yield
    except _ARCHIVE_ERRORS as error:
        raise DatasetError(
            f"{archive} is not a whole .tar.gz: {error}; remove it, and run this again"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{archive} cannot be unpacked: {error}; make room, or choose another folder"
        ) from error
