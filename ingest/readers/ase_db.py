"""ASE's SQLite database.

The id is the row's key `material_id` (or `system_id`, …), or else ASE's own unique_id. Charge,
multiplicity and energies are read from the row's keys as from extxyz; ASE's own energy (eV) becomes
a label. The file is opened read-only: ASE itself would create missing tables in whatever SQLite
file it is given.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ingest.readers.shared.fields import (
    READ_KEYS,
    UnreadKeys,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
)
from ingest.readers.shared.packed import raise_system_fault, unpacked
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError, Entry, Unreadable

_LOCK_SECONDS = 20.0  # to wait until another program has written, as ASE itself waits


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the rows of a database.

    Args:
        path: An SQLite file.

    Yields:
        One record per row, and a remark on what is not read.

    Raises:
        DatasetError: The file is damaged, or is not an ASE database.
    """
    unread = UnreadKeys()
    try:
        with unpacked(path) as file:
            yield from _records(file, path.name, unread)
    except sqlite3.DatabaseError as error:
        raise_system_fault(path, error)
        raise DatasetError(
            f"{path} is not an ASE database that can be read to its end: {error}"
        ) from error
    yield from unread.remarks()


def _records(path: Path, source: str, unread: UnreadKeys) -> Iterator[Record]:
    _check(path)
    database = _open(path)
    with database:
        for (number,) in database.connection.execute("SELECT id FROM systems ORDER BY id"):
            yield Record(str(number), partial(_entry, database, number, source, unread), "ASE")


def _check(path: Path) -> None:
    """Raise unless the file is a whole ASE database: SQLite may read a damaged one without end."""
    connection = _connect(path)
    try:
        (tables,) = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'systems'"
        ).fetchone()
        if not tables:
            raise DatasetError(
                f"{path} is a SQLite file without the table 'systems': not an ASE database"
            )
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise sqlite3.DatabaseError(" ".join(str(fault).split()))
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_LOCK_SECONDS)


def _open(path: Path) -> Any:
    """Open a file as ASE's database that cannot write."""
    from ase.db.sqlite import SQLite3Database  # here so that listing formats stays fast

    class ReadOnly(SQLite3Database):
        def _connect(self) -> sqlite3.Connection:
            return _connect(path)

    return ReadOnly(str(path), use_lock_file=False)


def _entry(
    database: Any, number: int, source: str, unread: UnreadKeys
) -> Iterator[Entry | Unreadable]:
    row = database.get(id=number)
    keys = row.key_value_pairs
    unread.count(*(key for key in keys if key not in READ_KEYS))
    name = id_of(keys, row.unique_id)
    periodic = bool(row.pbc.any())
    try:
        yield Entry(
            name,
            row.numbers,
            row.positions,
            row.cell if periodic else None,
            row.pbc if periodic else None,
            charge_of(keys),
            multiplicity_of(keys),
            labels=energies_of({**keys, "energy": row.get("energy")}, source, unread),
        )
    except RecordError as fault:
        yield Unreadable(name, str(fault))


READER = Reader(suffixes=(".db",), records=records, packages=("ase",), code=(__file__,))
