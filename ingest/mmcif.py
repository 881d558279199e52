"""Protein chains of an mmCIF file, read a line at a time: a file may hold millions of atoms, a chain holds few.

Only the loop of atoms is read. The PDB's files have one atom a line there.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np

BACKBONE = ("N", "CA", "C", "O")
COLUMNS = {
    "chain": "auth_asym_id",
    "place": "label_seq_id",  # in the polymer's sequence; '.' for waters, ligands and sugars
    "residue": "label_comp_id",
    "atom": "label_atom_id",
    "alternate": "label_alt_id",
    "occupancy": "occupancy",
    "model": "pdbx_PDB_model_num",
    "x": "Cartn_x",
    "y": "Cartn_y",
    "z": "Cartn_z",
}
WORD = re.compile(r"""'(?:[^']|'(?=\S))*'|"(?:[^"]|"(?=\S))*"|\S+""")

Variant = tuple[str, str]  # name of the residue, mark of the alternate location ('.' if it has but one)
Seen = tuple[float, list[float]]  # occupancy of an atom, and x, y, z in Å


class BrokenFile(Exception):
    """A file that is not a whole mmCIF file with atoms."""


@dataclass
class Residue:
    """One place in a chain's sequence: the backbone atoms seen there, by what was seen."""

    atoms: dict[Variant, dict[str, Seen]] = field(default_factory=lambda: defaultdict(dict))

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
            return None
        _, name, backbone = max(found, key=lambda variant: variant[0])
        return name, backbone


Chain = dict[int, Residue]  # by place in the sequence


def read_chains(path: Path, wanted: Collection[str]) -> dict[str, Chain]:
    """These chains (the authors' names) of the first model of a .cif.gz file; what it lacks is left out.

    Raises BrokenFile where the file is cut or holds no atoms.
    """
    chains: dict[str, Chain] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for name, place, variant, atom, seen in _atoms(file, wanted):
                residues = chains.setdefault(name, defaultdict(Residue))
                residues[place].atoms[variant].setdefault(atom, seen)
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise BrokenFile(" ".join(f"{type(error).__name__}: {error}".split())) from error
    return chains


def _atoms(file: TextIO, wanted: Collection[str]) -> Iterator[tuple[str, int, Variant, str, Seen]]:
    """The backbone atoms of these chains' polymers: chain, place, variant, name of the atom, what was seen."""
    names, first = _columns(file)
    at = {key: names.index(column) for key, column in COLUMNS.items()}
    model = None
    for line in chain([first], file):
        if line.startswith(("#", "loop_", "_", "data_")):
            return
        words = _words(line)
        if len(words) != len(names):
            raise ValueError(f"an atom with {len(words)} values, where {len(names)} are named: {line.strip()!r:.100}")
        model = model or words[at["model"]]
        if words[at["model"]] != model:
            return
        if words[at["chain"]] in wanted and words[at["place"]].isdecimal() and words[at["atom"]] in BACKBONE:
            variant = words[at["residue"]], words[at["alternate"]].replace("?", ".")
            occupancy = float(words[at["occupancy"]].replace("?", "1"))
            seen = occupancy, [float(words[at[axis]]) for axis in "xyz"]
            yield words[at["chain"]], int(words[at["place"]]), variant, words[at["atom"]], seen


def _columns(file: TextIO) -> tuple[list[str], str]:
    """The names of the loop of atoms, and its first line."""
    names = []
    for line in file:
        if line.startswith("_atom_site."):
            names.append(line.split()[0].removeprefix("_atom_site."))
        elif names:
            missing = set(COLUMNS.values()) - set(names)
            if missing:
                raise ValueError(f"its atoms have no {min(missing)}")
            return names, line
    raise ValueError("it has no atoms")


def _words(line: str) -> list[str]:
    if "'" not in line and '"' not in line:
        return line.split()
    return [word[1:-1] if word[0] in "'\"" else word for word in WORD.findall(line)]


def sequence_and_backbone(residues: Chain) -> tuple[str, np.ndarray]:
    """One letter a residue whose backbone is whole, in order, and their backbones (residues, 4, 3) in Å."""
    from Bio.Data.PDBData import protein_letters_3to1_extended  # here, not above: it is slow to import

    letters = {name.strip(): letter for name, letter in protein_letters_3to1_extended.items()}
    found = [residues[place].best() for place in sorted(residues)]
    whole = [residue for residue in found if residue is not None]
    sequence = "".join(letters.get(name, "X") for name, _ in whole)
    return sequence, np.array([backbone for _, backbone in whole]).reshape(-1, 4, 3)
