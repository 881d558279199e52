"""ASE's SQLite database. The id is the row's key `material_id` (or `system_id`, …), or else ASE's own unique_id.

Charge, multiplicity and energies are read from the row's keys as from extxyz; ASE's own energy (eV) becomes a label.
The file is opened read-only: ASE itself would make the tables that it misses, in whatever SQLite file it is given.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ingest.readers import (
    READ_KEYS,
    Ignored,
    Item,
    Reader,
    Record,
    Refused,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
)
from ingest.systems.entry import DatasetError, Entry, Unreadable

PATIENCE = 20.0  # seconds for another program to end its writing, as ASE itself waits


def records(path: Path) -> Iterator[Record | Item]:
    ignored = Ignored()
    try:
        _check(path)
        database = _read_only(path)
        with database:
            for (number,) in database.connection.execute("SELECT id FROM systems ORDER BY id"):
                yield Record(
                    str(number), partial(_entry, database, number, path.name, ignored), "ASE"
                )
    except sqlite3.DatabaseError as error:
        raise DatasetError(
            f"{path} is not an ASE database that can be read to its end: {error}"
        ) from error
    yield from ignored.remarks()


def _check(path: Path) -> None:
    """Raise DatasetError where the file is no whole ASE database: of a damaged one SQLite may read rows without end."""
    connection = _connection(path)
    try:
        found = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'systems'"
        )
        if not found.fetchone()[0]:
            raise DatasetError(
                f"{path} is a SQLite file without the table 'systems': not an ASE database"
            )
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise sqlite3.DatabaseError(" ".join(str(fault).split()))
    finally:
        connection.close()


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)


def _read_only(path: Path) -> Any:
    """ASE's database of a file that it cannot write to."""
    from ase.db.sqlite import (
        SQLite3Database,  # here, not above: listing formats should not import their packages
    )

    class ReadOnly(SQLite3Database):
        def _connect(self) -> sqlite3.Connection:
            return _connection(path)

    return ReadOnly(str(path), use_lock_file=False)


def _entry(
    database: Any, number: int, source: str, ignored: Ignored
) -> Iterator[Entry | Unreadable]:
    row = database.get(id=number)
    keys = row.key_value_pairs
    ignored.count(*(key for key in keys if key not in READ_KEYS))
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
            labels=energies_of({**keys, "energy": row.get("energy")}, source, ignored),
        )
    except Refused as fault:
        yield Unreadable(name, str(fault))


READER = Reader(suffixes=(".db",), records=records, packages=("ase",), code=(__file__,))
