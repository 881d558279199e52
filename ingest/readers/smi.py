"""SMILES files (.smi): a SMILES string per line, then its id, as Daylight, Open Babel and RDKit do.

The id is what follows the first blanks, up to a tab, or the molecule's number from 0 if nothing
follows. A first line whose first word is `smiles` names columns. ChemAxon's extension between two
`|` is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ingest.readers.shared import smiles_entry, text
from ingest.readers.shared.reader import Reader, Record
from ingest.systems.dataset import Item, code_file
from ingest.systems.entry import Entry

_EXTENSION = re.compile(r"^\|[^|]*\|\s*")


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the lines of a file.

    Args:
        path: A file of SMILES strings.

    Yields:
        One record per line that is neither empty nor a comment (#).
    """
    count = 0
    with text.open_text(path) as file:
        for number, line in enumerate(file, start=1):
            smiles, *rest = line.split(maxsplit=1) or [""]
            if not smiles or smiles.startswith("#") or (number == 1 and smiles.lower() == "smiles"):
                continue
            name = _name(*rest) or str(count)
            yield Record(name, partial(_entry, name, smiles), "RDKit", line, number)
            count += 1


def _name(rest: str = "") -> str:
    return _EXTENSION.sub("", rest, count=1).split("\t")[0].strip()


def _entry(name: str, smiles: str) -> Iterator[Entry]:
    yield smiles_entry.smiles_entry(name, smiles)


READER = Reader(
    suffixes=(".smi",),
    records=records,
    packages=("rdkit",),
    code=(__file__, smiles_entry.__file__, code_file("ingest.systems.molecules")),
)
