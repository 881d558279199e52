"""Tables of SMILES (csv, tsv) with an id column. SMILES are made canonical by RDKit; other columns are not read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ingest.datasets.readers import ID_KEYS, Reader
from ingest.systems import DatasetError, Entry, Unreadable

SMILES_KEYS = ("smiles", "canonical_smiles")
NAME_KEYS = (*ID_KEYS, "name", "molecule_id", "compound_id", "chembl_id", "cid")


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        try:
            header = next(rows, [])
            smiles, name = _column(path, header, SMILES_KEYS), _column(path, header, NAME_KEYS)
            for row in rows:
                if row:
                    yield _entry(row, rows.line_num, smiles, name)
        except csv.Error as error:
            raise DatasetError(f"{path}, line {rows.line_num}: {error}") from error


def _column(path: Path, header: list[str], keys: tuple[str, ...]) -> int:
    """The place of the first of these columns that the table has, in any case."""
    columns = [column.strip().lower() for column in header]
    for key in keys:
        if key in columns:
            return columns.index(key)
    raise DatasetError(f"{path} needs a column {' or '.join(map(repr, keys))}; its first line has {header}")


def _entry(row: list[str], line: int, smiles: int, name: int) -> Entry | Unreadable:
    from ingest import molecules  # here, not above: listing formats should not import RDKit

    source_id = row[name].strip() if name < len(row) else ""
    if not source_id or smiles >= len(row):
        return Unreadable(source_id or f"line {line}", f"line {line} lacks its id or its SMILES: {row!r:.100}")
    try:
        molecule = molecules.parse_smiles(row[smiles].strip())
        charge, spin = molecules.charge_of(molecule), molecules.multiplicity_of(molecule)
        return Entry(source_id, charge=charge, spin=spin, smiles=molecules.canonical_smiles(molecule))
    except ValueError as error:
        return Unreadable(source_id, str(error))


READER = Reader(
    suffixes=(".csv", ".tsv"),
    entries=entries,
    packages=("rdkit",),
    code=(__file__, str(Path(__file__).parents[2] / "molecules.py")),
)
