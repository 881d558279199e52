"""SDF and MOL files, by RDKit. The id is the record's field `id` (or `mol_id`, …), its title, or its number from 0.

A record with three-dimensional coordinates and all its hydrogens gives a structure as well as a SMILES string; a flat
drawing, or one without its hydrogens, gives the SMILES string alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from ingest.datasets.readers import Reader, id_of
from ingest.systems import Entry, Unreadable


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    with path.open("rb") as file:
        for index, record in enumerate(_records(file)):
            yield _entry(index, record)


def _records(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of each record. RDKit's own reader may lose the record after a broken one."""
    lines: list[bytes] = []
    for line in file:
        lines.append(line)
        if line.startswith(b"$$$$"):
            yield b"".join(lines)
            lines = []
    if b"".join(lines).strip():
        yield b"".join(lines)


def _entry(index: int, text: bytes) -> Entry | Unreadable:
    from rdkit import Chem, rdBase  # here, not above: listing formats should not import their packages

    from ingest import molecules

    with rdBase.BlockLogs():  # RDKit prints its reasons to stderr
        record = next(Chem.ForwardSDMolSupplier(BytesIO(text), sanitize=False, removeHs=False), None)
    if record is None:
        return Unreadable(str(index), f"record {index} is not a complete MOL block")
    fields = {key.lower(): value for key, value in record.GetPropsAsDict(autoConvertStrings=False).items()}
    name = id_of(fields, record.GetProp("_Name").strip() or index)
    try:
        molecule = molecules.sanitised(record)
        numbers, positions = molecules.atoms_of(record) if _has_structure(record) else (None, None)
        charge, spin = molecules.charge_of(molecule), molecules.multiplicity_of(molecule)
        smiles = molecules.canonical_smiles(molecule)
    except ValueError as error:
        return Unreadable(name, str(error))
    return Entry(name, numbers, positions, charge=charge, spin=spin, smiles=smiles)


def _has_structure(record: Any) -> bool:
    """Three-dimensional, and no hydrogen only implied?"""
    flat = not record.GetNumConformers() or not record.GetConformer().Is3D()
    return not flat and all(atom.GetTotalNumHs() == 0 for atom in record.GetAtoms())


READER = Reader(
    suffixes=(".sdf", ".mol"),
    entries=entries,
    packages=("rdkit",),
    code=(__file__, str(Path(__file__).parents[2] / "molecules.py")),
)
