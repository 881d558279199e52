"""PDB and mmCIF: each protein chain of the first model; the id is `<file stem>_<chain>`.

What of a file is a chain, and which letter a residue has, is told in `ingest.systems.proteins`; a chain whose backbone is not
whole is refused. A chain of a PDB file that has no name has its segment's (columns 73 to 76) or `_`; where numbers
begin again under one name, a second chain `<name>-2` begins. Numbers may be hybrid-36 (A000 follows 9999).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ingest.readers import Item, Reader, Record, Refused, mmcif, text
from ingest.systems import proteins
from ingest.systems.entry import Entry, Unreadable
from ingest.systems.proteins import BACKBONE, Chain, Residue, Seen, Variant

NO_CHAIN = "_"  # instead of a blank
NO_MARK = "."  # of an alternate location
FIRST = 10_000  # the first number that does not fit in four digits, A000
LEADING = 36**3  # what one counts of the first letter
MMCIF = (".cif", ".mmcif")

Place = tuple[int, str]  # number and insertion code


@dataclass
class Found:
    """A chain as it is read."""

    residues: Chain = field(default_factory=dict)  # by number and insertion code
    listed: Chain = field(
        default_factory=dict
    )  # by the place in the polymer's sequence, where mmCIF gives it
    has_atoms: bool = False  # ATOM records, as polymers have
    ended: bool = False  # its TER was read


def records(path: Path) -> Iterator[Record | Item]:
    yield Record(path.stem, partial(_entries, path), "this reader")


def _entries(path: Path) -> Iterator[Item]:
    with text.opened(path) as file:
        listed = dict[str, set[str]]()
        if path.suffix.lower() in MMCIF:
            chains = _mmcif_chains(file)
        else:
            chains, listed = _pdb_chains(file)
    if not any(found.has_atoms or found.residues for found in chains.values()):
        raise Refused("no ATOM records; expected a protein structure")
    told = any(found.listed for found in chains.values())
    for name, found in chains.items():
        of_polymer = found.listed if told else proteins.polymer(found.residues, listed.get(name))
        yield from _chain(f"{path.stem}_{name}", of_polymer, found.has_atoms)


def _chain(name: str, residues: Chain, has_atoms: bool) -> Iterator[Item]:
    """The chain's entry; nothing for one that holds only waters and ligands."""
    residues = {place: residue for place, residue in residues.items() if residue.is_amino_acid()}
    if not residues:
        if has_atoms:
            yield Unreadable(
                name, "a chain without amino acids (nucleic acid?); expected a protein"
            )
        return
    for place, residue in residues.items():
        if residue.best() is None:
            number = "".join(map(str, place)) if isinstance(place, tuple) else place
            missing = ", ".join(residue.lacks()) or "an atom in every alternate location"
            where = f"residue {residue.names[0]} {number}"
            yield Unreadable(name, f"{where} lacks {missing}: complete its backbone or remove it")
            return
    sequence, backbone = proteins.sequence_and_backbone(residues)
    yield Entry(name, sequence=sequence, backbone=backbone)


def _mmcif_chains(file: Iterable[str]) -> dict[str, Found]:
    chains: dict[str, Found] = defaultdict(Found)
    try:
        for atom in mmcif.atoms(file):
            found = chains[atom.chain]
            found.has_atoms |= not atom.hetero
            if atom.name in BACKBONE:
                seen = (atom.occupancy, atom.position)
                if atom.place is not None:
                    _add(found.listed, atom.place, atom.hetero, atom.variant, atom.name, seen)
                if atom.number is not None:
                    _add(found.residues, atom.number, atom.hetero, atom.variant, atom.name, seen)
    except mmcif.BrokenFile as error:
        raise Refused(str(error)) from error
    for found in chains.values():
        found.listed = dict(sorted(found.listed.items(), key=lambda item: int(str(item[0]))))
    return chains


def _add(
    residues: Chain,
    place: Hashable,
    hetero: bool,
    variant: Variant,
    atom: str,
    seen: Seen,
    ended: bool = False,
) -> None:
    residue = residues.setdefault(place, Residue(ended=ended))
    residue.hetero &= hetero
    residue.add(variant, atom, seen)


def _pdb_chains(file: Iterable[str]) -> tuple[dict[str, Found], dict[str, set[str]]]:
    """The chains of the first model, and for each the names that SEQRES lists."""
    chains, listed = PdbChains(), defaultdict[str, set[str]](set)
    for number, line in enumerate(file, start=1):
        record = line[:6].rstrip()
        if record in ("ATOM", "HETATM"):
            try:
                chains.add(line, record == "HETATM")
            except (ValueError, IndexError) as error:
                raise Refused(f"line {number} is no atom of a PDB file: {error}") from error
        elif record.startswith("TER"):
            chains.end()
        elif record == "SEQRES":
            listed[line[11].strip() or NO_CHAIN].update(line[19:].split())
        elif record == "ENDMDL":
            break
    return chains.found, listed


class PdbChains:
    """The chains of a PDB file, an atom at a time."""

    def __init__(self) -> None:
        self.found: dict[str, Found] = {}
        self.called: dict[str, str] = {}  # the name of the chain that goes on under a file's name
        self.last: tuple[str, Place] | None = None  # chain and place of the atom before

    def add(self, line: str, hetero: bool) -> None:
        """Take an ATOM or HETATM record. Raises ValueError where it holds no number."""
        given = line[21].strip() or line[72:76].strip() or NO_CHAIN
        place = residue_number(line[22:26]), line[26].strip()
        variant = line[17:21].strip(), line[16].strip() or NO_MARK
        atom = line[12:16].strip()
        name = self._chain_of(given, place, (*variant, atom), hetero)
        found = self.found.setdefault(name, Found())
        found.has_atoms |= not hetero
        self.last = name, place
        if atom in BACKBONE:
            position = [float(line[start : start + 8]) for start in (30, 38, 46)]
            seen = float(line[54:60].strip() or 1), position
            _add(found.residues, place, hetero, variant, atom, seen, found.ended)

    def _chain_of(self, given: str, place: Place, atom: tuple[str, str, str], hetero: bool) -> str:
        """The name of an atom's chain: another one where the numbers of a polymer begin again."""
        name = self.called.setdefault(given, given)
        found = self.found.get(name)
        if found is None or hetero or self.last == (name, place):
            return name
        residue = found.residues.get(place)
        again = residue is not None and atom[2] in residue.atoms.get((atom[0], atom[1]), {})
        if not again and not found.ended:
            return name
        numbers = [
            at[0]
            for at, residue in found.residues.items()
            if isinstance(at, tuple) and not residue.hetero
        ]
        if not again and place[0] > max(numbers, default=place[0] - 1):
            found.ended = False  # a break in one chain
            return name
        part = int(name.removeprefix(f"{given}-")) + 1 if name != given else 2
        self.called[given] = f"{given}-{part}"
        return self.called[given]

    def end(self) -> None:
        """Take a TER record: it ends the chain of the atom before."""
        if self.last is not None:
            self.found[self.last[0]].ended = True


def residue_number(word: str) -> int:
    """A residue's number, decimal or hybrid-36: A000 is 10,000, and a000 follows ZZZZ.

    Raises ValueError for anything else.
    """
    word = word.strip()
    if re.fullmatch(r"[A-Z][A-Z0-9]{3}|[a-z][a-z0-9]{3}", word):
        before = 10 if word[0].isupper() else -16  # what the first letter counts from
        return int(word, 36) + FIRST - before * LEADING
    if not word.removeprefix("-").isdecimal():
        raise ValueError(f"expected a residue's number in columns 23 to 26, got {word!r}")
    return int(word)


READER = Reader(
    suffixes=(".pdb", ".ent", ".mmcif"),
    records=records,
    packages=("biopython",),
    code=(__file__, mmcif.__file__, proteins.__file__),
)
