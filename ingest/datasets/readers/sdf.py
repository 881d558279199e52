"""SDF and MOL files, by RDKit. The id is the record's field `id` (or `mol_id`, …), its title, or its number from 0.

A record with three-dimensional coordinates and all its hydrogens gives a structure as well as a SMILES string; a flat
drawing, or one without its hydrogens, gives the SMILES string alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.datasets.readers import Reader, id_of
from ingest.systems import Entry, Unreadable


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    from rdkit import Chem, rdBase  # here, not above: listing formats should not import their packages

    with path.open("rb") as file:
        records = iter(Chem.ForwardSDMolSupplier(file, sanitize=False, removeHs=False))
        index = 0
        while True:
            with rdBase.BlockLogs():  # RDKit prints its reasons to stderr
                record = next(records, _END)
            if record is _END:
                return
            yield _entry(index, record)
            index += 1


_END = object()


def _entry(index: int, record: Any) -> Entry | Unreadable:
    from ingest import molecules

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
