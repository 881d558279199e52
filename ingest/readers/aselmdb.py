"""ASE's LMDB database, the format of FAIR chemistry's published datasets.

The id is the row's key `material_id` (or `system_id`, …), or else its number in the file. Charge,
multiplicity and energies are read from the row's data or keys as from extxyz; the row's own energy
(eV) is a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ingest.readers.shared import aselmdb_rows as rows
from ingest.readers.shared.fields import UnreadKeys
from ingest.readers.shared.packed import unpacked
from ingest.readers.shared.reader import Reader, Record
from ingest.systems.dataset import Item


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the rows of a database.

    Args:
        path: An .aselmdb file.

    Yields:
        One record per row, and a remark on what is not read.
    """
    unread = UnreadKeys()
    with unpacked(path) as file, rows.open_database(file) as database:
        for number in rows.row_numbers(database):
            row = partial(rows.read_row, database, number)
            yield Record(number, partial(rows.read_entry, number, row, path.name, unread), "ASE")
    yield from unread.remarks()


READER = Reader(
    suffixes=(".aselmdb",),
    records=records,
    packages=("lmdb",),
    code=(__file__, rows.__file__),
)
