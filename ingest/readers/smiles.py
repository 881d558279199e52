"""Tables of SMILES (csv, tsv) with an id column. SMILES are made canonical by RDKit; other columns are not read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ingest.readers import ID_KEYS, Item, Reader, Record, Refused, text
from ingest.systems.entry import DatasetError, Entry

SMILES_KEYS = ("smiles", "canonical_smiles")
NAME_KEYS = (*ID_KEYS, "name", "molecule_id", "compound_id", "chembl_id", "cid")


def records(path: Path) -> Iterator[Record | Item]:
    with text.opened(path, newline="") as file:
        # strict: else a quote that is not closed swallows all rows after it
        rows = csv.reader(
            file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True
        )
        line = 1
        try:
            header = next(rows, [])
            smiles, name = _column(path, header, SMILES_KEYS), _column(path, header, NAME_KEYS)
            line = rows.line_num + 1
            for row in rows:
                if row:
                    block = "".join(row)
                    yield Record(
                        _name(row, name, line),
                        partial(_entry, row, line, smiles, name),
                        "RDKit",
                        block,
                        line,
                    )
                line = rows.line_num + 1
        except csv.Error as error:
            raise DatasetError(
                f"{path}, the row that begins in line {line}: {error}; is a quote not closed?"
            ) from error


def _column(path: Path, header: list[str], keys: tuple[str, ...]) -> int:
    """The place of the first of these columns that the table has, in any case."""
    columns = [column.strip().lower() for column in header]
    for key in keys:
        if key in columns:
            return columns.index(key)
    raise DatasetError(
        f"{path} needs a column {' or '.join(map(repr, keys))}; its first line has {text.readable(str(header))}"
    )


def _name(row: list[str], name: int, line: int) -> str:
    return (row[name].strip() if name < len(row) else "") or f"line {line}"


def _entry(row: list[str], line: int, smiles: int, name: int) -> Iterator[Entry]:
    from ingest.systems import molecules  # here, not above: listing formats should not import RDKit

    source_id = _name(row, name, line)
    if smiles >= len(row) or name >= len(row) or not row[name].strip():
        raise Refused(f"line {line} lacks its id or its SMILES: {row!r:.100}")
    given = row[smiles].strip()
    if len(given.splitlines()) > 1:
        raise Refused(
            f"line {line} has a SMILES of several lines, {given!r:.60}: is a quote not closed?"
        )
    try:
        molecule = molecules.parse_smiles(given)
        charge, spin = molecules.formal_charge(molecule), molecules.multiplicity(molecule)
        yield Entry(
            source_id, charge=charge, spin=spin, smiles=molecules.canonical_smiles(molecule)
        )
    except molecules.MoleculeError as error:
        raise Refused(str(error)) from error


READER = Reader(
    suffixes=(".csv", ".tsv"),
    records=records,
    packages=("rdkit",),
    code=(__file__, str(Path(__file__).parents[1] / "systems" / "molecules.py")),
)
