"""Published archives (.tar.gz) of ASE's LMDB databases: OMat24, sAlex and OMol25.

The id of a system is `<archive>/<database>:<number of the row>`, as in `rattled-300/val:31085`. Unlike the publishers'
own `sid` and `source` it is known before a row is decoded, and no two rows share one.

LMDB needs a file, so the databases are unpacked one at a time, never two at once.
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
from ingest.sources.files import LabelColumn, Source
from ingest.sources.published import Published, published
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable
from zoo.weights.digest import BLOCK

if TYPE_CHECKING:
    from lmdb import Transaction

SUFFIX = ".aselmdb"
BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


def archives(module: str) -> Published:
    """The dataset of the TOML file beside a module: its files are archives of databases, its labels keys of rows."""
    return published(module, ids, read, packages=("lmdb",), code=(__file__, aselmdb_rows.__file__))


def ids(source: Source) -> Iterator[str]:
    """Every row of every database of every archive."""
    for file in source.about.file:
        for database, unpacked in databases(source.folder, file.path):
            with unpacked() as rows:
                for number in aselmdb_rows.row_numbers(rows):
                    yield f"{database}:{number}"


def read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    """The systems of these ids, in the order of the files. What holds none of them is not unpacked."""
    wanted = defaultdict(list)
    for source_id in chosen:
        database, _, number = source_id.rpartition(":")
        wanted[database].append(number)
    for file in source.about.file:
        if not any(database.startswith(f"{stem(file.path)}/") for database in wanted):
            continue
        for database, unpacked in databases(source.folder, file.path):
            if database in wanted:
                with unpacked() as rows:
                    for number in wanted[database]:
                        yield system(f"{database}:{number}", rows, number, source.about.label)


def system(
    name: str, rows: Transaction, number: str, columns: Sequence[LabelColumn]
) -> Entry | Unreadable:
    try:
        row = aselmdb_rows.read_row(rows, number)
        return aselmdb_rows.row_entry(name, row, tuple(labels(row, columns)))
    except aselmdb_rows.ROW_ERRORS as error:
        return Unreadable(name, parser_reason("ASE", error))


def labels(row: aselmdb_rows.Row, columns: Sequence[LabelColumn]) -> Iterator[Label]:
    """The properties that the row gives as one number; a list of one number is that number."""
    given = {**aselmdb_rows.row_fields(row), **row}
    for column in columns:
        values: Any = (
            []
            if given.get(column.key) is None
            else np.atleast_1d(aselmdb_rows.read_array(given[column.key]))
        )
        if len(values) == 1 and np.isfinite(values[0]):
            yield Label(column.property, float(values[0]), column.unit, column.source)


Unpacked = Callable[[], AbstractContextManager["Transaction"]]


def databases(folder: Path, archive: str) -> Iterator[tuple[str, Unpacked]]:
    """Name of each database of an archive, and how to unpack and open it, before the next one is asked for."""
    path = folder / archive
    with whole(path), tarfile.open(path, "r:gz") as tar:
        for member in tar:
            inside = PurePosixPath(member.name)
            if member.isfile() and inside.suffix == SUFFIX and not inside.name.startswith("."):
                parts = [part for part in inside.with_suffix("").parts if part not in (".", "/")]
                if parts[0] == PurePosixPath(stem(archive)).name and len(parts) > 1:
                    del parts[0]  # the folder in the archive is called as the archive
                yield "/".join([stem(archive), *parts]), partial(unpacked, tar, member, path)
        while tar.fileobj and tar.fileobj.read(BLOCK):
            pass  # to its end, where its checksum is


def stem(archive: str) -> str:
    return archive.removesuffix(".tar.gz")


@contextmanager
def unpacked(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> Iterator[Transaction]:
    """A database of an archive, opened. Its file lies beside the archive, or in TMPDIR."""
    beside = archive.parent if os.access(archive.parent, os.W_OK) else None
    with TemporaryDirectory(prefix=f".{archive.name}.", dir=beside) as folder:
        path = Path(folder) / PurePosixPath(member.name).name
        with whole(archive), path.open("wb") as file:
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            shutil.copyfileobj(content, file, BLOCK)
        with aselmdb_rows.open_database(path) as rows:
            yield rows


@contextmanager
def whole(archive: Path) -> Iterator[None]:
    """What is wrong with an archive, or with unpacking it, is told with its name."""
    try:
        yield
    except BROKEN as error:
        raise DatasetError(
            f"{archive} is no whole .tar.gz: {error}; remove it, and run this again"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{archive} cannot be unpacked: {error}; make room, or choose another folder"
        ) from error
