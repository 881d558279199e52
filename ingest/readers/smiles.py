"""Tables of SMILES strings (csv, tsv) with a column of ids, or with numbered rows.

RDKit makes the strings canonical. Other columns are not read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from ingest.readers.shared import smiles_entry, text
from ingest.readers.shared.fields import ID_COLUMNS, find_column
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item, code_file
from ingest.systems.entry import DatasetError, Entry

_SMILES_COLUMNS = ("smiles", "canonical_smiles", "isomeric_smiles", "smile", "smi")


def records(path: Path, *, numbered: bool = False) -> Iterator[Record | Item]:
    """Go through the rows of a table.

    Args:
        path: A csv or tsv file whose first line names the columns.
        numbered: Whether the ids are the rows' numbers from 0 if no column has ids.

    Yields:
        One record per row that is not empty.

    Raises:
        DatasetError: A column is missing, or a quote is not closed.
    """
    with text.open_text(path, newline="") as file:
        yield from _rows(path, file, numbered)


def _rows(path: Path, file: TextIO, numbered: bool) -> Iterator[Record]:
    delimiter = "\t" if plain_name(path).suffix.lower() == ".tsv" else ","
    # Strict, as otherwise a quote that is not closed swallows all rows after it.
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    line = 1
    try:
        header = next(rows, [])
        smiles = _column(path, header, _SMILES_COLUMNS)
        name = find_column(header, ID_COLUMNS)
        if name is None and not numbered:
            _column(path, header, ID_COLUMNS, "; --numbered makes ids of the rows' numbers")
        line, count = rows.line_num + 1, 0
        for row in rows:
            if row:
                given = str(count) if name is None else "".join(row[name : name + 1]).strip()
                read = partial(_entry, given, row, line, smiles)
                yield Record(given or f"line {line}", read, "RDKit", "".join(row), line)
                count += 1
            line = rows.line_num + 1
    except csv.Error as error:
        raise DatasetError(
            f"{path}, the row that begins in line {line}: {error}; is a quote not closed?"
        ) from error


def _column(path: Path, header: list[str], names: tuple[str, ...], advice: str = "") -> int:
    """Return the place of the first of these columns that the table has, in any case."""
    place = find_column(header, names)
    if place is None:
        raise DatasetError(
            f"{path} needs a column {' or '.join(map(repr, names[:7]))}; its first line has "
            f"{text.replace_bad_bytes(str(header)):.500}{advice}"
        )
    return place


def _entry(source_id: str, row: list[str], line: int, smiles: int) -> Iterator[Entry]:
    if smiles >= len(row) or not source_id:
        raise RecordError(f"line {line} lacks its id or its SMILES: {row!r:.100}")
    given = row[smiles].strip()
    if len(given.splitlines()) > 1:
        raise RecordError(
            f"line {line} has a SMILES of several lines, {given!r:.60}: is a quote not closed?"
        )
    yield smiles_entry.smiles_entry(source_id, given)


READER = Reader(
    suffixes=(".csv", ".tsv"),
    records=records,
    packages=("rdkit",),
    code=(__file__, smiles_entry.__file__, code_file("ingest.systems.molecules")),
    numbered=partial(records, numbered=True),
)
