"""VASP's POSCAR and CONTCAR, by ASE: one crystal; the id is the file's stem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.datasets.readers import Reader, reason
from ingest.systems import Entry, Unreadable


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    import ase.io  # here, not above: listing formats should not import their packages

    try:
        atoms: Any = ase.io.read(path, format="vasp")
    except UnicodeDecodeError:
        raise
    except Exception as error:  # a parser's faults have no common type
        yield Unreadable(path.stem, reason("ASE", error))
        return
    yield Entry(path.stem, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


READER = Reader(
    suffixes=(".vasp", ".poscar", ".contcar"),
    entries=entries,
    packages=("ase",),
    code=(__file__,),
    names=("POSCAR", "CONTCAR"),
)
