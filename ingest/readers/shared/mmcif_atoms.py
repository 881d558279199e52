"""Atoms of an mmCIF file, read one line at a time: a file may hold millions, and a chain holds few.

Only the loop of atoms is read; an atom may take several lines. `ingest.systems.proteins` says what
residues are.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.readers.shared.packed import raise_system_fault
from ingest.systems.proteins import BACKBONE, Chain, Residue, Variant
from zoo.errors import MatterzooError

_NEEDED = {  # each is read from the first of these columns that the file has
    "chain": ("auth_asym_id", "label_asym_id"),
    "residue": ("label_comp_id", "auth_comp_id"),
    "atom": ("label_atom_id", "auth_atom_id"),
    "x": ("Cartn_x",),
    "y": ("Cartn_y",),
    "z": ("Cartn_z",),
}
_OPTIONAL = {
    "group": ("group_PDB",),  # ATOM if missing
    "place": ("label_seq_id",),  # in the polymer's sequence; '.' for waters, ligands and sugars
    "number": ("auth_seq_id",),
    "insertion": ("pdbx_PDB_ins_code",),
    "alternate": ("label_alt_id",),
    "occupancy": ("occupancy",),  # 1 if missing
    "model": ("pdbx_PDB_model_num",),  # one model if missing
}
_WORD = re.compile(r"""'(?:[^']|'(?=\S))*'|"(?:[^"]|"(?=\S))*"|\S+""")
_UNKNOWN = (".", "?")


class MmcifError(MatterzooError, ValueError):
    """A file is not a whole mmCIF file with atoms."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One row of the loop of atoms.

    Attributes:
        chain: The authors' name of the chain.
        place: The place in the polymer's sequence, None for waters, ligands and sugars.
        number: The authors' number of the residue and its insertion code.
        variant: Name of the residue and mark of the alternate location.
        name: Name of the atom.
        hetero: Whether it is a HETATM.
        occupancy: Between 0 and 1.
        position: X, y and z in Å.
    """

    chain: str
    place: int | None
    number: tuple[int, str] | None
    variant: Variant
    name: str
    hetero: bool
    occupancy: float
    position: list[float]


def read_chains(path: Path, wanted: Collection[str]) -> dict[str, Chain]:
    """Read some chains of the first model of a compressed file.

    Args:
        path: A .cif.gz file.
        wanted: The authors' names of the chains.

    Returns:
        The chains by name, residues in the order of the sequence. Chains that the file lacks are
        left out.

    Raises:
        MmcifError: The file is cut or holds no atoms.
        SystemFault: The machine fails, and not the file.
    """
    chains: dict[str, dict[int, Residue]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for atom in read_atoms(file):
                if atom.chain in wanted and atom.place is not None and atom.name in BACKBONE:
                    chain = chains.setdefault(atom.chain, {})
                    residue = chain.setdefault(atom.place, Residue())
                    residue.hetero &= atom.hetero
                    residue.add(atom.variant, atom.name, (atom.occupancy, atom.position))
    except MmcifError:
        raise
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise_system_fault(path, error)
        raise MmcifError(" ".join(f"{type(error).__name__}: {error}".split())) from error
    return {
        name: {place: chain[place] for place in sorted(chain)} for name, chain in chains.items()
    }


def read_atoms(file: Iterable[str]) -> Iterator[Atom]:
    """Read the atoms of the first model.

    Args:
        file: The lines of an mmCIF file.

    Yields:
        The atoms, in the order of the file.

    Raises:
        MmcifError: There is no loop of atoms, or it is not whole.
    """
    lines = iter(outside_text(file))
    names, first = _columns(lines)
    places = _places(names)
    model = None
    for words in _rows(first, lines, len(names)):
        given = {key: words[place] for key, place in places.items()}
        model = model or given.get("model", "1")
        if given.get("model", "1") != model:
            return
        try:
            yield _atom(given)
        except ValueError as error:
            raise MmcifError(f"{error} in the atom {' '.join(words)!r:.100}") from error


def _atom(given: dict[str, str]) -> Atom:
    occupancy = given.get("occupancy", "1")
    place, number = given.get("place", "."), given.get("number", ".")
    insertion = given.get("insertion", "?")
    return Atom(
        chain=given["chain"],
        place=int(place) if _is_whole(place) else None,
        number=(int(number), "" if insertion in _UNKNOWN else insertion)
        if _is_whole(number)
        else None,
        variant=(given["residue"], given.get("alternate", ".").replace("?", ".")),
        name=given["atom"],
        hetero=given.get("group", "ATOM") == "HETATM",
        occupancy=1.0 if occupancy in _UNKNOWN else float(occupancy),
        position=[float(given[axis]) for axis in "xyz"],
    )


def _is_whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal() and len(word) < 12


def outside_text(lines: Iterable[str]) -> Iterator[str]:
    """Leave out the text fields of a CIF, which begin and end with a semicolon in the first column.

    Args:
        lines: The lines of a CIF.

    Yields:
        The lines outside of text fields.
    """
    inside = False
    for line in lines:
        if line.startswith(";"):
            inside = not inside
        elif not inside:
            yield line


def _columns(lines: Iterator[str]) -> tuple[list[str], str]:
    """Return the names of the columns of the loop of atoms, and its first line."""
    names = []
    for line in lines:
        if line.lstrip().startswith("_atom_site."):
            names.append(line.split()[0].removeprefix("_atom_site."))
        elif names:
            return names, line
    raise MmcifError("it has no atoms")


def _places(names: list[str]) -> dict[str, int]:
    """Return the place of each value in a row."""
    found = {}
    for key, columns in {**_NEEDED, **_OPTIONAL}.items():
        column = next((column for column in columns if column in names), None)
        if column is not None:
            found[key] = names.index(column)
        elif key in _NEEDED:
            raise MmcifError(f"its atoms have no {columns[0]}")
    return found


def _rows(first: str, lines: Iterator[str], width: int) -> Iterator[list[str]]:
    """Yield the values of each atom, from as many lines as it takes."""
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
        raise MmcifError(
            f"an atom with {len(row)} values, where {width} are named: {' '.join(row)!r:.100}"
        )


def _words(line: str) -> list[str]:
    if "'" not in line and '"' not in line:
        return line.split()
    return [
        word[1:-1] if word[0] in "'\"" and len(word) > 1 else word for word in _WORD.findall(line)
    ]
