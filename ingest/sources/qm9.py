"""Dataset `qm9`: its archive as figshare has it, read one member at a time; see qm9.toml.

A member is a text file of its own format: the number of atoms; 'gdb', the index and 15 properties;
one line per atom (symbol, x, y, z in Å, Mulliken charge); vibrational frequencies; SMILES from
GDB-17 and from the relaxed geometry; InChI from both. Numbers may have Mathematica's exponents:
2.1997*^-6.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ingest.readers.shared.packed import raise_system_fault
from ingest.sources.shared.downloaded import downloaded
from ingest.sources.shared.source import LabelColumn, Source
from ingest.systems.dataset import code_file
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable
from zoo.encoder import SYMBOLS

ARCHIVE, LEFT_OUT = "dsgdb9nsd.xyz.tar.bz2", "uncharacterized.txt"
_MEMBER = re.compile(r"(?:.*/)?dsgdb9nsd_(\d{6})\.xyz")


def _ids(source: Source) -> Iterator[str]:
    left_out = read_uncharacterized(source.path(LEFT_OUT))
    for index in range(1, source.facts.options["molecules"] + 1):
        if index not in left_out:
            yield f"gdb_{index}"


def read_uncharacterized(path: Path) -> set[int]:
    """Return the indices of the molecules that failed the authors' consistency check.

    Args:
        path: The authors' table, uncharacterized.txt.

    Raises:
        DatasetError: The file lists no molecules.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    found = {
        int(words[0]) for words in map(str.split, lines) if len(words) == 5 and words[0].isdecimal()
    }
    if not found:
        raise DatasetError(
            f"{path} lists no molecules; expected the table of indices that QM9 is published with"
        )
    return found


def _read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    """Read the archive once, up to the last molecule that was chosen."""
    wanted = set(chosen)
    path = source.path(ARCHIVE)
    try:
        for source_id, text in _members(path):
            if source_id in wanted:
                wanted.discard(source_id)
                yield _entry(source_id, text, source.facts.label)
            if not wanted:
                return
    except (tarfile.TarError, EOFError, OSError) as error:
        raise_system_fault(path, error)
        raise DatasetError(
            f"{path} is not a whole .tar.bz2 archive: {error}; remove it, and run this again"
        ) from error


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield id and content of each molecule's file."""
    with tarfile.open(path, "r|bz2") as archive:
        for member in archive:
            # Otherwise tarfile keeps a record of every member.
            archive.members = []  # type: ignore[attr-defined]
            named = _MEMBER.fullmatch(member.name)
            file = archive.extractfile(member)
            if named and file:
                yield f"gdb_{int(named[1])}", file.read()


def _entry(source_id: str, text: bytes, columns: Sequence[LabelColumn]) -> Entry | Unreadable:
    from ingest.systems import molecules  # here so that listing datasets does not import RDKit

    try:
        lines = text.decode("ascii").splitlines()
        size = int(lines[0])
        if len(lines) < size + 5:
            raise ValueError(f"it has {len(lines)} lines, and {size} atoms need {size + 5}")
        numbers, positions = _atoms(lines[2 : 2 + size])
        smiles = molecules.canonical_smiles(molecules.parse_smiles(lines[size + 3].split()[1]))
        labels = _labels(source_id, lines[1].split(), columns)
    except (ValueError, IndexError) as error:
        return Unreadable(source_id, f"not a file of QM9: {error}")
    return Entry(source_id, numbers, positions, charge=0, spin=1, smiles=smiles, labels=labels)


def _atoms(lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return atomic numbers (n,) and positions (n, 3) in Å."""
    rows = [line.split() for line in lines]
    strange = [row[0] for row in rows if row[0] not in SYMBOLS]
    if strange:
        raise ValueError(f"{strange[0]!r} is not an element's symbol")
    numbers = np.array([SYMBOLS.index(row[0]) + 1 for row in rows])
    return numbers, np.array([[_number(word) for word in row[1:4]] for row in rows])


def _labels(
    source_id: str, words: Sequence[str], columns: Sequence[LabelColumn]
) -> tuple[Label, ...]:
    """Return the properties in the second line: gdb, index, and one value per property."""
    if len(words) != 2 + len(columns) or "_".join(words[:2]) != source_id:
        raise ValueError(
            f"its second line has {len(words)} words and begins with {' '.join(words[:2])!r}, "
            f"expected {2 + len(columns)} and {source_id.replace('_', ' ')!r}"
        )
    values = [_number(word) for word in words[2:]]
    return tuple(
        Label(column.property, value, column.unit, column.source)
        for column, value in zip(columns, values, strict=True)
    )


def _number(word: str) -> float:
    return float(word.replace("*^", "e"))


DATASET = downloaded(
    __file__,
    _ids,
    _read,
    packages=("rdkit",),
    code=(code_file("ingest.systems.molecules"),),
)
