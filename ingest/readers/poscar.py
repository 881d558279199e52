"""VASP's POSCAR and CONTCAR, by ASE: one crystal. The id is the file's stem."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.readers.shared import text
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item
from ingest.systems.entry import Entry

_HEAD = 7  # lines, at most, up to the one that counts the atoms
# A compressed file may hold any number of lines; a million atoms with velocities have as many.
_MAX_LINES = 2_000_000
_ISOTOPES = {"D": "H", "T": "H"}  # heavy hydrogens


def records(path: Path) -> Iterator[Record | Item]:
    """Read a file as one record.

    Args:
        path: A POSCAR file.

    Yields:
        The record.
    """
    with text.open_text(path) as file:
        lines = list(islice(file, _MAX_LINES))
    yield Record(plain_name(path).stem, partial(_entry, path, lines), "ASE")


def _entry(path: Path, lines: list[str]) -> Iterator[Entry]:
    import ase.io  # here so that listing formats stays fast

    place, count = _count_atoms(lines)
    if count is not None and count > len(lines) - place - 2:
        given = max(len(lines) - place - 2, 0)
        raise RecordError(
            f"line {place + 1} counts {count} atoms; {given} lines are left for their positions"
        )
    # Elements are named in the line before the counts, or in the title (VASP 4).
    for symbols in (0, place - 1):
        if 0 <= symbols < len(lines):
            words = lines[symbols].split()
            lines[symbols] = " ".join(_ISOTOPES.get(word, word) for word in words) + "\n"
    content = StringIO(text.replace_bad_bytes("".join(lines)))
    content.name = str(path)  # ASE looks for a POTCAR beside it if it does not name its elements
    atoms: Any = ase.io.read(content, format="vasp")
    yield Entry(plain_name(path).stem, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def _count_atoms(lines: list[str]) -> tuple[int, int | None]:
    """Return the index of the line that counts the atoms of each element, and their sum.

    The sum is None if there is no such line.
    """
    for place, line in enumerate(lines[5:_HEAD], start=5):
        words = line.split("!")[0].split()
        if words and all(word.isascii() and word.isdigit() for word in words):
            return place, sum(int(word[:20]) for word in words)  # 20 digits are too many already
    return _HEAD - 1, None


READER = Reader(
    suffixes=(".vasp", ".poscar", ".contcar"),
    records=records,
    packages=("ase",),
    code=(__file__,),
    names=("POSCAR", "CONTCAR"),
)
