"""Protein chains out of atoms, the same for a user's file (PDB, mmCIF) and for dataset `rcsb`.

A chain is the residues of its polymer that were seen, in the order of the sequence (mmCIF) or of the file (PDB). What
was not seen is left out of the sequence and of the backbone alike: at a break two rows of the backbone that follow each
other are simply far apart, and no letter stands for what is missing.

**Letters.** A residue has its own letter or its parent's (selenomethionine is M, a D-residue or a force field's HID,
CYX or ASH its amino acid), selenocysteine is U, pyrrolysine O, ASX B, GLX Z, and one without a known parent X.

**Places.** A place in the chain is one residue, whatever it was seen as: of alternate locations, and of several amino
acids in one place, the one with the highest occupancy counts, the first of equals.

**Ligands.** mmCIF says which residues are the polymer's: those with a `label_seq_id`. A PDB file says so by ATOM. A
HETATM residue with a peptide's backbone belongs to the chain only if it comes before the chain's TER, SEQRES (where the
file has it) lists its name, and it is bound to a neighbor of the chain or has the number next to one's: a modified
residue has that, a free amino acid in the binding site has not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

BACKBONE = ("N", "CA", "C", "O")
PEPTIDE = BACKBONE[:3]
LONGEST_BOND = 2.0  # Å between C and N; a peptide bond has 1.33, a contact of two molecules 3
BASES = frozenset(["A", "C", "G", "U", "T", "I", "N", "DA", "DC", "DG", "DT", "DU", "DI"])
# Names that Biopython's table of the PDB's dictionary lacks, or has for something else: protonation states as force
# fields call them (Amber, CHARMM, GROMOS), D-residues, the two rare amino acids, and those that are ambiguous.
NAMES = {
    "H": "HID HIE HIP HSD HSE HSP HISA HISB HISD HISE HISH HISP DHI",
    "C": "CYX CYM CYZ CYS1 CYS2 CYSH CYN DCY",
    "D": "ASH ASPH ASPP DAS",
    "E": "GLH GLUH GLUP DGL",
    "K": "LYN LYSH LSN DLY",
    "R": "ARN ARGN DAR",
    "Y": "TYM DTY",
    "A": "DAL",
    "N": "DSG",
    "Q": "DGN",
    "I": "DIL",
    "L": "DLE",
    "M": "MED",
    "F": "DPN",
    "P": "DPR",
    "S": "DSN",
    "T": "DTH",
    "W": "DTR",
    "V": "DVA",
    "U": "SEC",
    "O": "PYL",
    "B": "ASX",
    "Z": "GLX",
    "J": "XLE",
    "X": "UNK XAA",
}

Variant = tuple[
    str, str
]  # name of the residue, mark of the alternate location ('.' if it has but one)
Seen = tuple[float, list[float]]  # occupancy of an atom, and x, y, z in Å


@dataclass
class Residue:
    """One place in a chain: the backbone atoms seen there, by what was seen."""

    atoms: dict[Variant, dict[str, Seen]] = field(default_factory=lambda: defaultdict(dict))
    hetero: bool = True  # no atom of it is an ATOM
    ended: bool = False  # it comes after the end of its chain (TER)

    def add(self, variant: Variant, atom: str, seen: Seen) -> None:
        """Take an atom of the backbone, the first of its kind."""
        self.atoms[variant].setdefault(atom, seen)

    def best(self) -> tuple[str, list[list[float]]] | None:
        """Name and backbone (4, 3) in Å of the variant with the highest occupancy, the first of equals.

        Atoms without a mark belong to every variant of their residue. None where no variant has all four.
        """
        found = []
        for name, mark in self.atoms:
            shared = self.atoms.get((name, "."), {})
            atoms = {**shared, **self.atoms[name, mark]}
            if all(atom in atoms for atom in BACKBONE):
                occupancy = sum(atoms[atom][0] for atom in BACKBONE)
                found.append((occupancy, name, [atoms[atom][1] for atom in BACKBONE]))
        if not found:
            return self._mixed()
        _, name, backbone = max(found, key=lambda variant: variant[0])
        return name, backbone

    def _mixed(self) -> tuple[str, list[list[float]]] | None:
        """As `best` where no variant is whole by itself: each atom from where it has the highest occupancy."""
        for name in self.names:
            places = {atom: self._most_occupied(name, atom) for atom in BACKBONE}
            if all(place is not None for place in places.values()):
                return name, [place for place in places.values() if place is not None]
        return None

    def _most_occupied(self, name: str, atom: str) -> list[float] | None:
        seen = [
            atoms[atom]
            for (residue, _), atoms in self.atoms.items()
            if residue == name and atom in atoms
        ]
        return max(seen, key=lambda one: one[0])[1] if seen else None

    @property
    def names(self) -> list[str]:
        """What was seen here, each name once, in order."""
        return list(dict.fromkeys(name for name, _ in self.atoms))

    def has(self, atoms: Iterable[str]) -> bool:
        """Whether each of these atoms was seen in some variant."""
        seen = {atom for variant in self.atoms.values() for atom in variant}
        return seen.issuperset(atoms)

    def is_amino_acid(self) -> bool:
        """Whether it is one by its name and ATOM, or by a peptide's backbone."""
        if BASES.intersection(self.names):
            return False
        named = not self.hetero and any(
            letter(name, self.hetero) is not None for name in self.names
        )
        return named or self.has(PEPTIDE)

    def lacks(self) -> list[str]:
        """The atoms of the backbone that were not seen."""
        return [atom for atom in BACKBONE if not self.has([atom])]


Chain = dict[Hashable, Residue]  # by place in the sequence, or by number and insertion code


@cache
def _dictionary() -> dict[str, str]:
    from Bio.Data.PDBData import (
        protein_letters_3to1_extended,  # here, not above: it is slow to import
    )

    return {name.strip(): letter for name, letter in protein_letters_3to1_extended.items()}


OWN = {name: letter for letter, names in NAMES.items() for name in names.split()}


def letter(name: str, hetero: bool = False) -> str | None:
    """The letter of a residue's name, its parent's where it is modified; None if neither is known.

    Some names mean two things: HSE is homoserine in the PDB's dictionary, whose modified residues are HETATM, and a
    histidine in CHARMM's files, where it is ATOM. Amber writes N or C before the names at a chain's ends.
    """
    tables = (_dictionary(), OWN) if hetero else (OWN, _dictionary())
    names = (name, name[1:]) if len(name) == 4 and name[0] in "NC" else (name,)
    return next((table[known] for known in names for table in tables if known in table), None)


def polymer(chain: Mapping[Hashable, Residue], listed: Iterable[str] | None = None) -> Chain:
    """The residues of a PDB file's chain that are its polymer's; see the module on ligands.

    Args:
        chain: residues by number and insertion code, in the order of the file.
        listed: the names that SEQRES gives for the chain, None if the file has no SEQRES.
    """
    names = None if listed is None else set(listed)
    residues = {place: residue for place, residue in chain.items() if residue.is_amino_acid()}
    sure = {place for place, residue in residues.items() if not residue.hetero}
    likely = [
        place
        for place, residue in residues.items()
        if residue.hetero
        and not residue.ended
        and (names is None or names.intersection(residue.names))
    ]
    if not sure:  # a chain of modified residues alone; a standard amino acid would be ATOM, so that is a ligand
        modified = [
            place for place in likely if names is not None or not _standard(residues[place])
        ]
        sure.update(modified[:1])
    order = list(residues)
    for run in (order, order[::-1]):  # forward and back: a modified residue may be bound to another
        for before, place in zip(run, run[1:], strict=False):
            if before in sure and place in likely and _neighbors(residues, before, place):
                sure.add(place)
    return {place: residue for place, residue in residues.items() if place in sure}


def _standard(residue: Residue) -> bool:
    from Bio.Data.IUPACData import protein_letters_3to1

    return any(name.capitalize() in protein_letters_3to1 for name in residue.names)


def _neighbors(residues: Chain, one: Hashable, other: Hashable) -> bool:
    """Whether two residues are bound by a peptide bond, in either direction, or have numbers next to each other."""
    numbers = [place[0] for place in (one, other) if isinstance(place, tuple)]
    if len(numbers) == 2 and abs(numbers[0] - numbers[1]) <= 1:
        return True
    first, second = residues[one].best(), residues[other].best()
    if first is None or second is None:
        return False
    n, c = BACKBONE.index("N"), BACKBONE.index("C")
    pairs = [(first[1][c], second[1][n]), (second[1][c], first[1][n])]
    return any(float(np.linalg.norm(np.subtract(*pair))) < LONGEST_BOND for pair in pairs)


def sequence_and_backbone(residues: Mapping[Hashable, Residue]) -> tuple[str, np.ndarray]:
    """One letter per residue whose backbone is whole, in order, and their backbones (residues, 4, 3) in Å."""
    found = [(residue, residue.best()) for residue in residues.values()]
    whole = [(residue.hetero, *best) for residue, best in found if best is not None]
    sequence = "".join(letter(name, hetero) or "X" for hetero, name, _ in whole)
    return sequence, np.array([backbone for *_, backbone in whole]).reshape(-1, 4, 3)
