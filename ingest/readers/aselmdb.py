"""ASE's LMDB database, the format of FAIR chemistry's published datasets.

The id is the row's key `material_id` (or `system_id`, …), or else its number in the file. Charge,
multiplicity and energies are read from the row's data or keys as from extxyz; the row's own energy
(eV) is a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.readers.shared import aselmdb_rows as rows
from ingest.readers.shared.fields import READ_KEYS, UnreadKeys, energies_of, id_of
from ingest.readers.shared.guard import parser_reason
from ingest.readers.shared.reader import Reader, Record
from ingest.systems.dataset import Item
from ingest.systems.entry import Entry, Unreadable

if TYPE_CHECKING:
    from lmdb import Transaction


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the rows of a database.

    Args:
        path: An .aselmdb file.

    Yields:
        One record per row, and a remark on what is not read.
    """
    unread = UnreadKeys()
    with rows.open_database(path) as database:
        for number in rows.row_numbers(database):
            yield Record(number, partial(_entry, database, number, path.name, unread), "ASE")
    yield from unread.remarks()


def _entry(
    database: Transaction, number: str, source: str, unread: UnreadKeys
) -> Iterator[Entry | Unreadable]:
    try:
        row = rows.read_row(database, number)
        fields = rows.row_fields(row)
        name = id_of(fields, number)
        labels = energies_of({**fields, "energy": row.get("energy")}, source, unread)
        entry = rows.row_entry(name, row, labels)
    except rows.ROW_ERRORS as error:
        yield Unreadable(number, parser_reason("ASE", error))
        return
    unread.count(*(key for key in fields if key not in READ_KEYS))
    yield entry


READER = Reader(
    suffixes=(".aselmdb",),
    records=records,
    packages=("lmdb",),
    code=(__file__, rows.__file__),
)
