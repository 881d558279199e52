"""Parquet files: systems as `matterzoo export-systems` writes them, or tables of SMILES strings.

A table with all columns of an exported one is taken as it is, labels included, so that a dataset
survives the round trip, also through a program that has removed or added rows. Any other is read as
a table of SMILES in csv is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.readers.shared import fields, smiles_entry
from ingest.readers.shared.packed import unpacked
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.readers.shared.text import printable
from ingest.systems import tables
from ingest.systems.dataset import Item, code_file
from ingest.systems.entry import DatasetError, Entry, Label
from ingest.systems.tables import EXPORTED, ROW_GROUP

_TEXTS = ("smiles", "sequence")
_SMILES = ("smiles", "canonical_smiles", "isomeric_smiles", "smile", "smi")
_LABELS = "labels"
_NEEDED = frozenset(EXPORTED.names) - {_LABELS}  # early versions exported no labels
Row = Mapping[str, Any]


def records(path: Path, *, numbered: bool = False) -> Iterator[Record | Item]:
    """Go through the rows of a table.

    Args:
        path: A Parquet file.
        numbered: Whether the ids are the rows' numbers from 0 if no column has ids.

    Yields:
        One record per row.

    Raises:
        DatasetError: The file is no Parquet file, or a column is missing.
    """
    with unpacked(path) as file, _open(file) as table:
        names = table.schema_arrow.names
        if set(names) >= _NEEDED:
            kept = [name for name in EXPORTED.names if name in names]
            for count, row in enumerate(_rows(table, kept)):
                name = "" if row["id"] is None else str(row["id"])
                yield Record(name or f"row {count}", partial(_system, name, row), "Arrow")
        else:
            yield from _molecules(path, table, names, numbered)


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(f"{path} is not Parquet: {printable(str(error)):.200}") from error
    with table:
        yield table


def _rows(table: pq.ParquetFile, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for batch in table.iter_batches(ROW_GROUP, columns=list(columns)):
        yield from batch.to_pylist()


def _molecules(
    path: Path, table: pq.ParquetFile, names: list[str], numbered: bool
) -> Iterator[Record]:
    """Yield the rows of a table of SMILES strings."""
    smiles, place = fields.find_column(names, _SMILES), fields.find_column(names, fields.ID_COLUMNS)
    if smiles is None or (place is None and not numbered):
        raise DatasetError(
            f"{path} needs the columns of `matterzoo export-systems` ({', '.join(EXPORTED.names)}),"
            f" or 'smiles' and 'id'; it has {printable(str(names)):.500}; --numbered makes ids of "
            "the rows' numbers"
        )
    columns = [names[smiles]] if place is None else [names[smiles], names[place]]
    for count, row in enumerate(_rows(table, columns)):
        given = row[columns[0]]
        value = count if place is None else row[columns[1]]
        name = "" if value is None else str(value).strip()
        yield Record(name or f"row {count}", partial(_molecule, name, given), "RDKit")


def _molecule(name: str, smiles: object) -> Iterator[Entry]:
    if not name or not isinstance(smiles, str) or not smiles.strip():
        raise RecordError(f"a row lacks its id or its SMILES: {name!r:.60}, {smiles!r:.60}")
    yield smiles_entry.smiles_entry(name, smiles.strip())


def _system(name: str, row: Row) -> Iterator[Entry]:
    """Yield the entry of a row; `ingest.systems.validation` looks at its numbers."""
    if not name:
        raise RecordError("a row lacks its id")
    for column in _TEXTS:
        if not isinstance(row[column], str | None):
            raise RecordError(f"{column} = {row[column]!r:.60} is not text")
    arrays = {key: row[key] for key in ("numbers", "positions", "cell", "pbc", "backbone")}
    yield Entry(
        source_id=name,
        charge=fields.charge_of({"charge": row["charge"]}),
        spin=fields.multiplicity_of({"spin": row["spin"]}),
        smiles=row["smiles"],
        sequence=row["sequence"],
        labels=_labels(row.get(_LABELS)),
        **arrays,
    )


def _labels(given: object) -> tuple[Label, ...]:
    if not isinstance(given, list | None):
        raise RecordError(f"labels = {given!r:.60} is not a list")
    return tuple(map(_label, given or ()))


def _label(given: Any) -> Label:
    try:
        label = Label(**given)
    except TypeError:
        label = None
    texts = label and (label.property, label.unit, label.source)
    if (
        label is None
        or not isinstance(label.value, float)
        or not all(isinstance(value, str) for value in texts or ())
    ):
        raise RecordError(
            f"{given!r:.100} is no label; expected property, value (a number), unit and source"
        )
    return label


READER = Reader(
    suffixes=(".parquet",),
    records=records,
    packages=("pyarrow", "rdkit"),
    code=(
        __file__,
        smiles_entry.__file__,
        tables.__file__,
        code_file("ingest.systems.molecules"),
    ),
    numbered=partial(records, numbered=True),
)
