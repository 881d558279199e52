"""Tables of SMILES strings (csv, tsv) with a column of ids.

RDKit makes the strings canonical. Other columns are not read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from ingest.readers.shared import smiles_entry, text
from ingest.readers.shared.fields import ID_KEYS
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item, code_file
from ingest.systems.entry import DatasetError, Entry

_SMILES_COLUMNS = ("smiles", "canonical_smiles")
_ID_COLUMNS = (*ID_KEYS, "name", "molecule_id", "compound_id", "chembl_id", "cid")


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the rows of a table.

    Args:
        path: A csv or tsv file whose first line names the columns.

    Yields:
        One record per row that is not empty.

    Raises:
        DatasetError: A column is missing, or a quote is not closed.
    """
    with text.open_text(path, newline="") as file:
        yield from _rows(path, file)


def _rows(path: Path, file: TextIO) -> Iterator[Record]:
    delimiter = "\t" if plain_name(path).suffix.lower() == ".tsv" else ","
    # Strict, as otherwise a quote that is not closed swallows all rows after it.
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    line = 1
    try:
        header = next(rows, [])
        smiles = _column(path, header, _SMILES_COLUMNS)
        name = _column(path, header, _ID_COLUMNS)
        line = rows.line_num + 1
        for row in rows:
            if row:
                read = partial(_entry, row, line, smiles, name)
                yield Record(_name(row, name, line), read, "RDKit", "".join(row), line)
            line = rows.line_num + 1
    except csv.Error as error:
        raise DatasetError(
            f"{path}, the row that begins in line {line}: {error}; is a quote not closed?"
        ) from error


def _column(path: Path, header: list[str], keys: tuple[str, ...]) -> int:
    """Return the place of the first of these columns that the table has, in any case."""
    columns = [column.strip().lower() for column in header]
    for key in keys:
        if key in columns:
            return columns.index(key)
    raise DatasetError(
        f"{path} needs a column {' or '.join(map(repr, keys))}; "
        f"its first line has {text.replace_bad_bytes(str(header))}"
    )


def _name(row: list[str], name: int, line: int) -> str:
    return (row[name].strip() if name < len(row) else "") or f"line {line}"


def _entry(row: list[str], line: int, smiles: int, name: int) -> Iterator[Entry]:
    source_id = _name(row, name, line)
    if smiles >= len(row) or name >= len(row) or not row[name].strip():
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
)
