"""Protein chains of a PDB file, read one line at a time.

A chain without a name has its segment's (columns 73 to 76) or `_`. Where numbers begin again under
one name, a second chain `<name>-2` begins. Numbers may be hybrid-36 (A000 follows 9999).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from ingest.readers.shared.reader import RecordError
from ingest.systems.proteins import BACKBONE, Chain, Observation, Residue, Variant

_NO_CHAIN = "_"  # instead of a blank
_NO_MARK = "."  # of an alternate location
_FIRST_HYBRID = 10_000  # A000, the first number that does not fit in four digits
_PER_LEADING_LETTER = 36**3  # how many numbers begin with one letter

Place = tuple[int, str]  # number and insertion code


@dataclass
class FoundChain:
    """A chain as it is read.

    Attributes:
        residues: Its residues, by number and insertion code.
        listed: Its residues by their place in the polymer's sequence, where mmCIF gives that.
        has_atoms: Whether it has ATOM records, as polymers have.
        ended: Whether its TER was read.
    """

    residues: Chain = field(default_factory=dict)
    listed: Chain = field(default_factory=dict)
    has_atoms: bool = False
    ended: bool = False


def add_atom(
    residues: Chain,
    place: Hashable,
    hetero: bool,
    variant: Variant,
    atom: str,
    observation: Observation,
    ended: bool = False,
) -> None:
    """Add an atom of the backbone to its residue, which is made if this is its first atom.

    Args:
        residues: The residues of one chain.
        place: The place of the residue in the chain.
        hetero: Whether the atom is a HETATM.
        variant: Name of the residue and mark of the alternate location.
        atom: Name of the atom.
        observation: Its occupancy and position in Å.
        ended: Whether the TER of the chain came before.
    """
    residue = residues.setdefault(place, Residue(ended=ended))
    residue.hetero &= hetero
    residue.add(variant, atom, observation)


def read_pdb(file: Iterable[str]) -> tuple[dict[str, FoundChain], dict[str, set[str]]]:
    """Read the chains of the first model.

    Args:
        file: The lines of a PDB file.

    Returns:
        The chains by name, and for each name of a chain the residues that SEQRES lists.

    Raises:
        RecordError: A line is not an atom of a PDB file.
    """
    chains, listed = _PdbChains(), defaultdict[str, set[str]](set)
    for number, line in enumerate(file, start=1):
        record = line[:6].rstrip()
        if record in ("ATOM", "HETATM"):
            try:
                chains.add(line, record == "HETATM")
            except (ValueError, IndexError) as error:
                raise RecordError(f"line {number} is not an atom of a PDB file: {error}") from error
        elif record.startswith("TER"):
            chains.end()
        elif record == "SEQRES":
            listed[line[11].strip() or _NO_CHAIN].update(line[19:].split())
        elif record == "ENDMDL":
            break
    return chains.found, listed


class _PdbChains:
    """The chains of a PDB file, one atom at a time."""

    def __init__(self) -> None:
        self.found: dict[str, FoundChain] = {}
        self._current: dict[str, str] = {}  # a file's name: the chain that goes on under it
        self._last: tuple[str, Place] | None = None  # chain and place of the atom before

    def add(self, line: str, hetero: bool) -> None:
        """Take an ATOM or HETATM record. Raises ValueError if it holds no number."""
        given = line[21].strip() or line[72:76].strip() or _NO_CHAIN
        place = _residue_number(line[22:26]), line[26].strip()
        variant = line[17:21].strip(), line[16].strip() or _NO_MARK
        atom = line[12:16].strip()
        name = self._chain_of(given, place, (*variant, atom), hetero)
        found = self.found.setdefault(name, FoundChain())
        found.has_atoms |= not hetero
        self._last = name, place
        if atom in BACKBONE:
            position = [float(line[start : start + 8]) for start in (30, 38, 46)]
            observation = float(line[54:60].strip() or 1), position
            add_atom(found.residues, place, hetero, variant, atom, observation, found.ended)

    def end(self) -> None:
        """Take a TER record: it ends the chain of the atom before."""
        if self._last is not None:
            self.found[self._last[0]].ended = True

    def _chain_of(self, given: str, place: Place, atom: tuple[str, str, str], hetero: bool) -> str:
        """Return the name of an atom's chain: a new one where the numbers of a polymer restart."""
        name = self._current.setdefault(given, given)
        found = self.found.get(name)
        if found is None or hetero or self._last == (name, place):
            return name
        residue = found.residues.get(place)
        again = residue is not None and atom[2] in residue.atoms.get((atom[0], atom[1]), {})
        if not again and not found.ended:
            return name
        if not again and place[0] > max(_polymer_numbers(found), default=place[0] - 1):
            found.ended = False  # a break in one chain
            return name
        part = int(name.removeprefix(f"{given}-")) + 1 if name != given else 2
        self._current[given] = f"{given}-{part}"
        return self._current[given]


def _polymer_numbers(chain: FoundChain) -> list[int]:
    return [
        place[0]
        for place, residue in chain.residues.items()
        if isinstance(place, tuple) and not residue.hetero
    ]


def _residue_number(word: str) -> int:
    """Return a residue's number, decimal or hybrid-36: A000 is 10,000, and a000 follows ZZZZ."""
    word = word.strip()
    if re.fullmatch(r"[A-Z][A-Z0-9]{3}|[a-z][a-z0-9]{3}", word):
        before = 10 if word[0].isupper() else -16  # what the first letter counts from
        return int(word, 36) + _FIRST_HYBRID - before * _PER_LEADING_LETTER
    if not word.removeprefix("-").isdecimal():
        raise ValueError(f"expected a residue's number in columns 23 to 26, got {word!r}")
    return int(word)
