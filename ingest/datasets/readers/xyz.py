"""extxyz and plain xyz, by ASE, a frame at a time.

The id is the frame's `id` (or `material_id`, …) or its number from 0; `charge` and `spin` (multiplicity, 2S + 1) are
read from the comment line, `energy` (eV) becomes a label. Without a Lattice a frame is a molecule.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ingest.datasets.readers import Reader, id_of, integer_of, reason
from ingest.systems import Entry, Label, Unreadable


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    with path.open(encoding="utf-8") as file:
        for index, block in enumerate(_frames(file)):
            yield block if isinstance(block, Unreadable) else _entry(index, block, path.name)


def _frames(file: TextIO) -> Iterator[str | Unreadable]:
    """The text of each frame. After a broken one the rest cannot be told apart, so it is the last."""
    index = 0
    while line := file.readline():
        if not line.strip():
            continue
        if not line.strip().isdecimal() or line.strip() == "0":
            yield Unreadable(str(index), f"expected a number of atoms, got {line.strip()!r:.60}; frames end here")
            return
        wanted = int(line) + 1
        rest = list(islice(file, wanted))
        if len(rest) < wanted:
            yield Unreadable(str(index), f"the file ends after {max(len(rest) - 1, 0)} of {int(line)} atoms")
            return
        yield line + "".join(rest)
        index += 1


def _entry(index: int, block: str, source: str) -> Entry | Unreadable:
    import ase.io  # here, not above: listing formats should not import their packages

    try:
        atoms: Any = ase.io.read(StringIO(block), format="extxyz")
        results = atoms.calc.results if atoms.calc else {}
        energy = [Label("energy", float(results["energy"]), "eV", source)] if "energy" in results else []
        return Entry(
            id_of(atoms.info, index),
            atoms.numbers,
            atoms.positions,
            atoms.cell.array if atoms.pbc.any() else None,
            atoms.pbc if atoms.pbc.any() else None,
            integer_of(atoms.info, "charge"),
            integer_of(atoms.info, "spin"),
            labels=tuple(energy),
        )
    except Exception as error:  # a parser's faults have no common type
        return Unreadable(str(index), reason("ASE", error))


READER = Reader(suffixes=(".extxyz", ".xyz"), entries=entries, packages=("ase",), code=(__file__,))
