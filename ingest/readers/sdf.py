"""SDF and MOL files, by RDKit. The id is the record's field `id` (or `mol_id`, …), its title, or its number from 0.

A record with three-dimensional coordinates and all its hydrogens gives a structure as well as a SMILES string; a flat
drawing, or one without its hydrogens, gives the SMILES string alone. A planar molecule is told from a drawing by the
header, which says 3D.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

from ingest.readers import Item, Reader, Record, Refused, id_of, text
from ingest.systems.entry import Entry, Unreadable

DIMENSIONS = slice(20, 22)  # of a record's second line: '2D' or '3D'


def records(path: Path) -> Iterator[Record | Item]:
    with text.opened(path) as file:
        for index, (block, line) in enumerate(_blocks(file)):
            yield Record(str(index), partial(_entry, index, block), "RDKit", block, line)


def _blocks(file: TextIO) -> Iterator[tuple[str, int]]:
    """The text of each record and the number of its first line. RDKit's own reader may lose the one after a fault."""
    lines, first = list[str](), 1
    for number, line in enumerate(file, start=1):
        lines.append(line)
        if line.startswith("$$$$"):
            yield "".join(lines), first
            lines, first = [], number + 1
    if "".join(lines).strip():
        yield "".join(lines), first


def _entry(index: int, block: str) -> Iterator[Entry | Unreadable]:
    from rdkit import (  # here, not above: listing formats should not import their packages
        Chem,
        rdBase,
    )

    from ingest.systems import molecules

    with rdBase.BlockLogs():  # RDKit prints its reasons to stderr
        raw = text.readable(block).encode()
        record = next(Chem.ForwardSDMolSupplier(BytesIO(raw), sanitize=False, removeHs=False), None)
    if record is None:
        raise Refused(f"record {index} is not a complete MOL block")
    fields = {
        key.lower(): value for key, value in record.GetPropsAsDict(autoConvertStrings=False).items()
    }
    name = id_of(fields, record.GetProp("_Name").strip() or index)
    try:
        _refuse_query(record)
        molecule = molecules.sanitize(record)
        numbers, positions = (
            molecules.atoms_of(record) if _has_structure(record, block) else (None, None)
        )
        charge, spin = molecules.formal_charge(molecule), molecules.multiplicity(molecule)
        smiles = molecules.canonical_smiles(molecule)
    except (molecules.MoleculeError, Refused) as error:
        yield Unreadable(name, str(error))
        return
    yield Entry(name, numbers, positions, charge=charge, spin=spin, smiles=smiles)


def _refuse_query(record: Any) -> None:
    """Raise Refused for a pattern: it has an atom or a bond that stands for several."""
    for atom in record.GetAtoms():
        if atom.HasQuery() or not atom.GetAtomicNum():
            raise Refused(f"a query: atom {atom.GetIdx() + 1} is no element; expected a molecule")
    for bond in record.GetBonds():
        if bond.HasQuery():
            raise Refused(f"a query: bond {bond.GetIdx() + 1} has no order; expected a molecule")


def _has_structure(record: Any, block: str) -> bool:
    """Three-dimensional, and no hydrogen only implied? RDKit calls a conformer flat where every z is 0."""
    header = (block.split("\n", 2) + ["", ""])[1]
    says_3d = "3D" in (
        header[DIMENSIONS].upper(),
        *header.upper().split()[1:],
    )  # not every writer keeps to the columns
    solid = bool(record.GetNumConformers()) and (record.GetConformer().Is3D() or says_3d)
    return solid and all(atom.GetTotalNumHs() == 0 for atom in record.GetAtoms())


READER = Reader(
    suffixes=(".sdf", ".mol"),
    records=records,
    packages=("rdkit",),
    code=(__file__, str(Path(__file__).parents[1] / "systems" / "molecules.py")),
)
