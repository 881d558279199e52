"""PDB and mmCIF, by Biopython: each protein chain of the first model; the id is `<file stem>_<chain>`.

The sequence is that of the residues with coordinates (gaps are not filled), modified residues as their parents
(selenomethionine is M), alternate locations as the most occupied. Waters and ligands are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ingest.datasets.readers import Item, Reader, Record, reason
from ingest.systems import Entry, Unreadable

BACKBONE = ("N", "CA", "C", "O")


def records(path: Path) -> Iterator[Record | Item]:
    yield Record(path.stem, partial(entries, path), "Biopython")


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    from Bio.PDB.MMCIFParser import MMCIFParser  # here, not above: listing formats should not import their packages
    from Bio.PDB.PDBParser import PDBParser

    # QUIET: Biopython warns of chains that are not in one piece, which is usual.
    parser: Any = MMCIFParser(QUIET=True) if path.suffix.lower() in (".cif", ".mmcif") else PDBParser(QUIET=True)
    try:
        model = next(iter(parser.get_structure(path.stem, path)))
    except UnicodeDecodeError:
        raise
    except StopIteration:
        yield Unreadable(path.stem, "no ATOM records; expected a protein structure")
        return
    except Exception as error:  # a parser's faults have no common type
        yield Unreadable(path.stem, reason("Biopython", error))
        return
    for chain in model:
        yield from _chain(f"{path.stem}_{chain.id}", chain)


def _chain(name: str, chain: Any) -> Iterator[Entry | Unreadable]:
    """The chain's entry; nothing for one that holds only waters and ligands."""
    from Bio.Data.PDBData import protein_letters_3to1_extended as letters

    residues = [residue for residue in chain if residue.resname.strip() in letters and _in_polymer(residue)]
    if not residues:
        if any(residue.id[0] == " " for residue in chain):
            yield Unreadable(name, "a chain without amino acids (nucleic acid?); expected a protein")
        return
    for residue in residues:
        missing = [atom for atom in BACKBONE if atom not in residue]
        if missing:
            where = f"{residue.resname} {residue.id[1]}"
            yield Unreadable(name, f"residue {where} lacks {', '.join(missing)}: complete its backbone or remove it")
            return
    backbone = np.array([[residue[atom].coord for atom in BACKBONE] for residue in residues], dtype=np.float64)
    yield Entry(name, sequence="".join(letters[r.resname.strip()] for r in residues), backbone=backbone)


def _in_polymer(residue: Any) -> bool:
    """A residue of the chain itself, or a modified one (HETATM) with a peptide's backbone: not a free amino acid."""
    return residue.id[0] == " " or all(atom in residue for atom in BACKBONE[:3])


READER = Reader(suffixes=(".pdb", ".ent", ".mmcif"), records=records, packages=("biopython",), code=(__file__,))
