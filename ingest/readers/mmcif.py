"""Protein chains of an mmCIF file, read a line at a time: a file may hold millions of atoms, a chain holds few.

Only the loop of atoms is read, an atom on one line or on several. What residues are is told in `ingest.systems.proteins`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.systems.proteins import BACKBONE, Chain, Residue, Variant

NEEDED = {  # each by the first of these columns that there is
    "chain": ("auth_asym_id", "label_asym_id"),
    "residue": ("label_comp_id", "auth_comp_id"),
    "atom": ("label_atom_id", "auth_atom_id"),
    "x": ("Cartn_x",),
    "y": ("Cartn_y",),
    "z": ("Cartn_z",),
}
OPTIONAL = {
    "group": ("group_PDB",),  # ATOM if there is none
    "place": ("label_seq_id",),  # in the polymer's sequence; '.' for waters, ligands and sugars
    "number": ("auth_seq_id",),
    "insertion": ("pdbx_PDB_ins_code",),
    "alternate": ("label_alt_id",),
    "occupancy": ("occupancy",),  # 1 if there is none
    "model": ("pdbx_PDB_model_num",),  # one model if there is none
}
WORD = re.compile(r"""'(?:[^']|'(?=\S))*'|"(?:[^"]|"(?=\S))*"|\S+""")
NOT_KNOWN = (".", "?")


class BrokenFile(ValueError):
    """A file that is not a whole mmCIF file with atoms."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One line of the loop of atoms."""

    chain: str
    place: int | None  # in the polymer's sequence; None for what is no polymer
    number: tuple[int, str] | None  # the authors' number and insertion code
    variant: Variant
    name: str
    hetero: bool
    occupancy: float
    position: list[float]  # Å


def read_chains(path: Path, wanted: Collection[str]) -> dict[str, Chain]:
    """These chains (the authors' names) of the first model of a .cif.gz file; what it lacks is left out.

    Raises BrokenFile where the file is cut or holds no atoms.
    """
    chains: dict[str, dict[int, Residue]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for atom in atoms(file):
                if atom.chain in wanted and atom.place is not None and atom.name in BACKBONE:
                    residue = chains.setdefault(atom.chain, {}).setdefault(atom.place, Residue())
                    residue.hetero &= atom.hetero
                    residue.add(atom.variant, atom.name, (atom.occupancy, atom.position))
    except BrokenFile:
        raise
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise BrokenFile(" ".join(f"{type(error).__name__}: {error}".split())) from error
    return {
        name: {place: chain[place] for place in sorted(chain)} for name, chain in chains.items()
    }


def atoms(file: Iterable[str]) -> Iterator[Atom]:
    """The atoms of the first model. Raises BrokenFile where the loop of atoms is not whole."""
    lines = iter(outside_text(file))
    names, first = _columns(lines)
    at = _places(names)
    model = None
    for words in _rows(first, lines, len(names)):
        given = {key: words[place] for key, place in at.items()}
        model = model or given.get("model", "1")
        if given.get("model", "1") != model:
            return
        try:
            yield _atom(given)
        except ValueError as error:
            raise BrokenFile(f"{error} in the atom {' '.join(words)!r:.100}") from error


def _atom(given: dict[str, str]) -> Atom:
    occupancy = given.get("occupancy", "1")
    place, number = given.get("place", "."), given.get("number", ".")
    insertion = given.get("insertion", "?")
    return Atom(
        chain=given["chain"],
        place=int(place) if _is_whole(place) else None,
        number=(int(number), "" if insertion in NOT_KNOWN else insertion)
        if _is_whole(number)
        else None,
        variant=(given["residue"], given.get("alternate", ".").replace("?", ".")),
        name=given["atom"],
        hetero=given.get("group", "ATOM") == "HETATM",
        occupancy=1.0 if occupancy in NOT_KNOWN else float(occupancy),
        position=[float(given[axis]) for axis in "xyz"],
    )


def _is_whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal() and len(word) < 12


def outside_text(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a CIF without those of text fields, which begin and end with a semicolon in the first column."""
    inside = False
    for line in lines:
        if line.startswith(";"):
            inside = not inside
        elif not inside:
            yield line


def _columns(lines: Iterator[str]) -> tuple[list[str], str]:
    """The names of the loop of atoms, and its first line."""
    names = []
    for line in lines:
        if line.lstrip().startswith("_atom_site."):
            names.append(line.split()[0].removeprefix("_atom_site."))
        elif names:
            return names, line
    raise BrokenFile("it has no atoms")


def _places(names: list[str]) -> dict[str, int]:
    """Where each value stands in a row."""
    found = {}
    for key, columns in {**NEEDED, **OPTIONAL}.items():
        column = next((column for column in columns if column in names), None)
        if column is not None:
            found[key] = names.index(column)
        elif key in NEEDED:
            raise BrokenFile(f"its atoms have no {columns[0]}")
    return found


def _rows(first: str, lines: Iterator[str], width: int) -> Iterator[list[str]]:
    """The values of each atom, over as many lines as it takes."""
    row = list[str]()
    line: str | None = first
    while line is not None and not line.lstrip().startswith(("#", "loop_", "_", "data_")):
        row += _words(line)
        if len(row) > width:
            break
        if len(row) == width:
            yield row
            row = []
        line = next(lines, None)
    if row:
        raise BrokenFile(
            f"an atom with {len(row)} values, where {width} are named: {' '.join(row)!r:.100}"
        )


def _words(line: str) -> list[str]:
    if "'" not in line and '"' not in line:
        return line.split()
    return [
        word[1:-1] if word[0] in "'\"" and len(word) > 1 else word for word in WORD.findall(line)
    ]
