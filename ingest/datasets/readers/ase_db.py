"""ASE's SQLite database. The id is the row's key `material_id` (or `system_id`, …), or else ASE's own unique_id.

`charge` and `spin` (multiplicity, 2S + 1) are read from the row's keys, its energy (eV) becomes a label.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.datasets.readers import Reader, id_of, integer_of, reason
from ingest.systems import DatasetError, Entry, Label, Unreadable


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    import ase.db  # here, not above: listing formats should not import their packages

    try:
        for row in ase.db.connect(path, type="db", use_lock_file=False).select():
            yield _entry(row, path.name)
    except sqlite3.DatabaseError as error:
        raise DatasetError(f"{path} is not an ASE database that can be read to its end: {error}") from error


def _entry(row: Any, source: str) -> Entry | Unreadable:
    keys = row.key_value_pairs
    name = id_of(keys, row.unique_id)
    energy = row.get("energy")
    try:
        return Entry(
            name,
            row.numbers,
            row.positions,
            row.cell if row.pbc.any() else None,
            row.pbc if row.pbc.any() else None,
            integer_of(keys, "charge"),
            integer_of(keys, "spin"),
            labels=() if energy is None else (Label("energy", float(energy), "eV", source),),
        )
    except (TypeError, ValueError) as error:
        return Unreadable(name, reason("ASE", error))


READER = Reader(suffixes=(".db",), entries=entries, packages=("ase",), code=(__file__,))
