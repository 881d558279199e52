"""SDF and MOL files, by RDKit.

The id is the record's field `id` (or `mol_id`, …), its title, or its number from 0. A record with
three-dimensional coordinates and all its hydrogens gives a structure and a SMILES string; a flat
drawing, or a record without its hydrogens, gives the SMILES string alone. The header of a planar
molecule says 3D, which distinguishes it from a drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

from ingest.readers.shared import text
from ingest.readers.shared.fields import id_of
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item, code_file
from ingest.systems.entry import Entry, Unreadable

_DIMENSIONS = slice(20, 22)  # columns of a record's second line: '2D' or '3D'


def records(path: Path) -> Iterator[Record | Item]:
    """Cut a file at its `$$$$` lines.

    Args:
        path: An SDF or MOL file.

    Yields:
        One record per molecule.
    """
    with text.open_text(path) as file:
        for index, (block, line) in enumerate(_blocks(file)):
            yield Record(str(index), partial(_entry, index, block), "RDKit", block, line)


def _blocks(file: TextIO) -> Iterator[tuple[str, int]]:
    """Yield the text of each record and the number of its first line.

    RDKit's own reader may lose the record after a fault.
    """
    lines, first = list[str](), 1
    for number, line in enumerate(file, start=1):
        lines.append(line)
        if line.startswith("$$$$"):
            yield "".join(lines), first
            lines, first = [], number + 1
    if "".join(lines).strip():
        yield "".join(lines), first


def _entry(index: int, block: str) -> Iterator[Entry | Unreadable]:
    from ingest.systems import molecules  # here so that listing formats does not import RDKit

    record = _parse(index, block)
    properties = record.GetPropsAsDict(autoConvertStrings=False)
    fields = {key.lower(): value for key, value in properties.items()}
    name = id_of(fields, record.GetProp("_Name").strip() or index)
    try:
        _refuse_query(record)
        molecule = molecules.sanitize(record)
        solid = _has_structure(record, block)
        numbers, positions = molecules.atoms_of(record) if solid else (None, None)
        charge, spin = molecules.formal_charge(molecule), molecules.multiplicity(molecule)
        smiles = molecules.canonical_smiles(molecule)
    except (molecules.MoleculeError, RecordError) as error:
        yield Unreadable(name, str(error))
        return
    yield Entry(name, numbers, positions, charge=charge, spin=spin, smiles=smiles)


def _parse(index: int, block: str) -> Any:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():  # RDKit prints its reasons to stderr
        raw = text.replace_bad_bytes(block).encode()
        record = next(Chem.ForwardSDMolSupplier(BytesIO(raw), sanitize=False, removeHs=False), None)
    if record is None:
        raise RecordError(f"record {index} is not a complete MOL block")
    return record


def _refuse_query(record: Any) -> None:
    """Raise RecordError for a pattern, which has an atom or a bond that stands for several."""
    for atom in record.GetAtoms():
        if atom.HasQuery() or not atom.GetAtomicNum():
            raise RecordError(
                f"a query: atom {atom.GetIdx() + 1} is not an element; expected a molecule"
            )
    for bond in record.GetBonds():
        if bond.HasQuery():
            raise RecordError(
                f"a query: bond {bond.GetIdx() + 1} has no order; expected a molecule"
            )


def _has_structure(record: Any, block: str) -> bool:
    """Return whether a record is three-dimensional and has all its hydrogens as atoms.

    RDKit calls a conformer flat if every z is 0. Not every writer keeps to the columns of the
    header.
    """
    header = (block.split("\n", 2) + ["", ""])[1]
    says_3d = "3D" in (header[_DIMENSIONS].upper(), *header.upper().split()[1:])
    solid = bool(record.GetNumConformers()) and (record.GetConformer().Is3D() or says_3d)
    return solid and all(atom.GetTotalNumHs() == 0 for atom in record.GetAtoms())


READER = Reader(
    suffixes=(".sdf", ".mol"),
    records=records,
    packages=("rdkit",),
    code=(__file__, code_file("ingest.systems.molecules")),
)
