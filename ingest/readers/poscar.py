"""VASP's POSCAR and CONTCAR, by ASE: one crystal; the id is the file's stem."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.readers import Item, Reader, Record, Refused, text
from ingest.systems.entry import Entry

HEAD = 7  # lines, at most, up to the one that counts the atoms
MOST_LINES = (
    2_000_000  # a compressed file may hold any number; a million atoms with velocities have as many
)
ISOTOPES = {"D": "H", "T": "H"}  # heavy hydrogens


def records(path: Path) -> Iterator[Record | Item]:
    with text.opened(path) as file:
        lines = list(islice(file, MOST_LINES))
    yield Record(path.stem, partial(_entry, path, lines), "ASE")


def _entry(path: Path, lines: list[str]) -> Iterator[Entry]:
    import ase.io  # here, not above: listing formats should not import their packages

    place, count = _counted(lines)
    if count is not None and count > len(lines) - place - 2:
        given = max(len(lines) - place - 2, 0)
        raise Refused(
            f"line {place + 1} counts {count} atoms; {given} lines are left for their positions"
        )
    for symbols in (
        0,
        place - 1,
    ):  # where the elements are named: before the counts, or in the title (VASP 4)
        if 0 <= symbols < len(lines):
            lines[symbols] = (
                " ".join(ISOTOPES.get(word, word) for word in lines[symbols].split()) + "\n"
            )
    content = StringIO(text.readable("".join(lines)))
    content.name = str(path)  # ASE looks for a POTCAR beside it where it does not name its elements
    atoms: Any = ase.io.read(content, format="vasp")
    yield Entry(path.stem, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def _counted(lines: list[str]) -> tuple[int, int | None]:
    """The index of the line that counts the atoms of each element, and their sum; None if there is no such line."""
    for place, line in enumerate(lines[5:HEAD], start=5):
        words = line.split("!")[0].split()
        if words and all(word.isascii() and word.isdigit() for word in words):
            return place, sum(int(word[:20]) for word in words)  # 20 digits are too many already
    return HEAD - 1, None


READER = Reader(
    suffixes=(".vasp", ".poscar", ".contcar"),
    records=records,
    packages=("ase",),
    code=(__file__,),
    names=("POSCAR", "CONTCAR"),
)
