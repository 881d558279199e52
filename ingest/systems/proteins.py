"""Protein chains out of atoms, the same for users' files (PDB, mmCIF) and for dataset `rcsb`.

A chain is the residues of its polymer that were observed, in the order of the sequence (mmCIF) or
of the file (PDB). A residue that was not observed is left out of the sequence and of the backbone
alike: at a break, two neighboring rows of the backbone are simply far apart, and no letter stands
for what is missing.

**Letters.** A residue has its own letter or its parent's: selenomethionine is M, and a D-residue or
a force field's HID, CYX or ASH is its amino acid. Selenocysteine is U, pyrrolysine O, ASX B, GLX Z,
and a residue without a known parent X.

**Places.** A place in the chain is one residue. Where alternate locations or several amino acids
were observed in one place, the one with the highest occupancy counts, the first of equals.

**Ligands.** mmCIF says which residues are the polymer's: those with a `label_seq_id`. A PDB file
says so by ATOM. A HETATM residue with a peptide's backbone belongs to the chain only if it comes
before the chain's TER, SEQRES (if the file has it) lists its name, and it is bound to a neighbor in
the chain or has the number next to one's. A modified residue fulfills this, a free amino acid in
the binding site does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

BACKBONE = ("N", "CA", "C", "O")
_PEPTIDE = BACKBONE[:3]
_MAX_BOND = 2.0  # Å between C and N; a peptide bond has 1.33, a contact of two molecules 3
_BASES = frozenset(["A", "C", "G", "U", "T", "I", "N", "DA", "DC", "DG", "DT", "DU", "DI"])
# Names that Biopython's table of the PDB's dictionary lacks or uses for something else: protonation
# states as force fields call them (Amber, CHARMM, GROMOS), D-residues, the two rare amino acids,
# and ambiguous residues.
_NAMES_OF_LETTER = {
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

Variant = tuple[str, str]  # name of the residue, mark of the alternate location ('.' if only one)
Observation = tuple[float, list[float]]  # occupancy of an atom, and x, y, z in Å


@dataclass
class Residue:
    """One place in a chain.

    Attributes:
        atoms: The backbone atoms observed there, by the variant that was observed.
        hetero: Whether none of its atoms is an ATOM.
        ended: Whether it comes after the end of its chain (TER).
    """

    atoms: dict[Variant, dict[str, Observation]] = field(default_factory=lambda: defaultdict(dict))
    hetero: bool = True
    ended: bool = False

    def add(self, variant: Variant, atom: str, observation: Observation) -> None:
        """Add an atom of the backbone; of several with one name, the first stays.

        Args:
            variant: Name of the residue and mark of the alternate location.
            atom: Name of the atom.
            observation: Its occupancy and position in Å.
        """
        self.atoms[variant].setdefault(atom, observation)

    def best(self) -> tuple[str, list[list[float]]] | None:
        """Choose the variant with the highest occupancy, the first of equals.

        Atoms without a mark belong to every variant of their residue. Where no variant is whole,
        each atom comes from the variant in which it has the highest occupancy.

        Returns:
            Name and backbone (4, 3) in Å; None if one of the four atoms was not observed.
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
        for name in self.names:
            found = [self._most_occupied(name, atom) for atom in BACKBONE]
            positions = [position for position in found if position is not None]
            if len(positions) == len(BACKBONE):
                return name, positions
        return None

    def _most_occupied(self, name: str, atom: str) -> list[float] | None:
        observations = [
            atoms[atom]
            for (residue, _), atoms in self.atoms.items()
            if residue == name and atom in atoms
        ]
        return max(observations, key=lambda one: one[0])[1] if observations else None

    @property
    def names(self) -> list[str]:
        """The names of what was observed here, each once, in order."""
        return list(dict.fromkeys(name for name, _ in self.atoms))

    def has(self, atoms: Iterable[str]) -> bool:
        """Return whether each of these atoms was observed in some variant.

        Args:
            atoms: Names of atoms.
        """
        observed = {atom for variant in self.atoms.values() for atom in variant}
        return observed.issuperset(atoms)

    def is_amino_acid(self) -> bool:
        """Return whether this is an amino acid: by name and ATOM, or by a peptide backbone."""
        if _BASES.intersection(self.names):
            return False
        named = not self.hetero and any(
            letter_of(name, self.hetero) is not None for name in self.names
        )
        return named or self.has(_PEPTIDE)

    @property
    def missing_atoms(self) -> list[str]:
        """The atoms of the backbone that were not observed."""
        return [atom for atom in BACKBONE if not self.has([atom])]


Chain = dict[Hashable, Residue]  # by place in the sequence, or by number and insertion code


@cache
def _dictionary() -> dict[str, str]:
    # Here because it is slow to import.
    from Bio.Data.PDBData import protein_letters_3to1_extended

    return {name.strip(): letter for name, letter in protein_letters_3to1_extended.items()}


_LETTER_OF_NAME = {n: letter for letter, names in _NAMES_OF_LETTER.items() for n in names.split()}


def letter_of(name: str, hetero: bool = False) -> str | None:
    """Return the letter of a residue's name, its parent's if it is modified.

    Some names mean two things: HSE is homoserine in the PDB's dictionary, in which modified
    residues are HETATM, and a histidine in CHARMM's files, in which it is ATOM. Amber writes N or C
    before the names at a chain's ends.

    Args:
        name: The name of a residue, in capitals.
        hetero: Whether it is a HETATM.

    Returns:
        One letter; None if neither the residue nor its parent is known.
    """
    tables = (_dictionary(), _LETTER_OF_NAME) if hetero else (_LETTER_OF_NAME, _dictionary())
    names = (name, name[1:]) if len(name) == 4 and name[0] in "NC" else (name,)
    return next((table[known] for known in names for table in tables if known in table), None)


def polymer_of(chain: Mapping[Hashable, Residue], listed: Iterable[str] | None = None) -> Chain:
    """Choose the residues of a PDB file's chain that are its polymer's; see the module on ligands.

    Args:
        chain: Residues by number and insertion code, in the order of the file.
        listed: The names that SEQRES gives for the chain, None if the file has no SEQRES.

    Returns:
        The residues of the polymer, in the same order.
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
    if not sure:
        # A chain of modified residues alone. A standard amino acid would be ATOM: it is a ligand.
        modified = [
            place for place in likely if names is not None or not _is_standard(residues[place])
        ]
        sure.update(modified[:1])
    places = list(residues)
    # Forward and back, as a modified residue may be bound to another one.
    for order in (places, places[::-1]):
        for before, place in zip(order, order[1:], strict=False):
            if before in sure and place in likely and _are_neighbors(residues, before, place):
                sure.add(place)
    return {place: residue for place, residue in residues.items() if place in sure}


def _is_standard(residue: Residue) -> bool:
    from Bio.Data.IUPACData import protein_letters_3to1

    return any(name.capitalize() in protein_letters_3to1 for name in residue.names)


def _are_neighbors(residues: Chain, one: Hashable, other: Hashable) -> bool:
    """Return whether two residues share a peptide bond, or have consecutive numbers."""
    numbers = [place[0] for place in (one, other) if isinstance(place, tuple)]
    if len(numbers) == 2 and abs(numbers[0] - numbers[1]) <= 1:
        return True
    first, second = residues[one].best(), residues[other].best()
    if first is None or second is None:
        return False
    n, c = BACKBONE.index("N"), BACKBONE.index("C")
    pairs = [(first[1][c], second[1][n]), (second[1][c], first[1][n])]
    return any(float(np.linalg.norm(np.subtract(*pair))) < _MAX_BOND for pair in pairs)


def sequence_and_backbone(residues: Mapping[Hashable, Residue]) -> tuple[str, np.ndarray]:
    """Return the sequence and the backbone of the residues that have a whole backbone.

    Args:
        residues: The residues of a polymer, in order.

    Returns:
        One letter per residue, and their backbones (residues, 4, 3) in Å: N, CA, C, O.
    """
    found = [(residue, residue.best()) for residue in residues.values()]
    whole = [(residue.hetero, *best) for residue, best in found if best is not None]
    sequence = "".join(letter_of(name, hetero) or "X" for hetero, name, _ in whole)
    return sequence, np.array([backbone for *_, backbone in whole]).reshape(-1, 4, 3)
