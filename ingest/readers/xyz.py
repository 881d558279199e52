"""Extended and plain xyz files, by ASE, one frame at a time.

A frame without a Lattice is a molecule. The id is the frame's `id` (or `material_id`, …) or its
number from 0. Of the comment line these are read: `charge` or `total_charge`; `spin`, `total_spin`
or `multiplicity`, all of which are 2S + 1; and `energy` or `REF_energy` (eV), which become labels.
Everything else is not read, data of atoms (such as forces) included, and one remark per file says
so. Deuterium and tritium are hydrogen; elements may be atomic numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ingest.readers.shared import text
from ingest.readers.shared.fields import (
    READ_KEYS,
    UnreadKeys,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
)
from ingest.readers.shared.packed import plain_size
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item
from ingest.systems.entry import Entry, Unreadable

_DEFAULT_COLUMNS = "species:S:1:pos:R:3"
_GEOMETRY_KEYS = ("Lattice", "Properties", "pbc")
_GEOMETRY_COLUMNS = ("species", "pos", "Z")
# ASE refuses a frame for a stress that is not 3 x 3, though 6 numbers are usual; under another name
# it takes any list.
_TENSOR = re.compile(r"(?<![\w-])(stress|virial)(?=\s*=)")
_ISOTOPES = {"D": "H", "T": "H"}  # heavy hydrogens
_MAX_DIGITS = 12  # of a number of atoms; no file holds a number of atoms with more

Column = tuple[str, str, int]  # name, kind (S, R, I or L), and how many words of a line


def records(path: Path) -> Iterator[Record | Item]:
    """Cut a file into frames.

    Args:
        path: An xyz file.

    Yields:
        One record per frame, and a remark on what is not read.
    """
    unread = UnreadKeys()
    with text.open_text(path) as file:
        for index, frame in enumerate(_frames(file, plain_size(path))):
            if isinstance(frame, Unreadable):
                yield frame
            else:
                block, line = frame
                read = partial(_entry, index, block, path.name, unread)
                yield Record(str(index), read, "ASE", block, line)
    yield from unread.remarks()


def _frames(file: TextIO, size: int) -> Iterator[tuple[str, int] | Unreadable]:
    """Yield the text of each frame and the number of its first line.

    A broken frame is the last, as nobody knows where the next one begins. A frame without atoms is
    not broken.
    """
    index, number = 0, 0
    while line := file.readline():
        number += 1
        if not line.strip():
            continue
        fault = _count_fault(line.strip(), size)
        if fault:
            yield Unreadable(str(index), f"{fault}; frames end here")
            return
        atoms, first = int(line), number
        rest = list(islice(file, atoms + 1))
        number += len(rest)
        if atoms and len(rest) < atoms + 1:
            found = max(len(rest) - 1, 0)
            yield Unreadable(str(index), f"the file ends after {found} of {atoms} atoms")
            return
        frame = (line + "".join(rest), first)
        yield frame if atoms else Unreadable(str(index), "a frame without atoms")
        index += 1


def _count_fault(word: str, size: int) -> str | None:
    """Return why a word is not the number of atoms in a file of so many bytes."""
    if not word.isdecimal():
        return f"expected a number of atoms, got {text.replace_bad_bytes(word)!r:.60}"
    if len(word) > _MAX_DIGITS or int(word) > size:  # an atom takes several bytes
        return f"{word:.60} atoms do not fit in a file of {size} bytes"
    return None


def _entry(index: int, block: str, source: str, unread: UnreadKeys) -> Iterator[Entry | Unreadable]:
    from ase.io.extxyz import key_val_str_to_dict  # here so that listing formats stays fast

    comment = block.split("\n", 2)[1]
    info: dict[str, Any] = key_val_str_to_dict(_TENSOR.sub(lambda key: key[1].title(), comment))
    name = id_of(info, index)
    try:
        columns, atoms = _atoms(info, block)
        periodic = bool(atoms.pbc.any())
        yield Entry(
            name,
            atoms.numbers,
            atoms.positions,
            atoms.cell.array if periodic else None,
            atoms.pbc if periodic else None,
            charge_of(info),
            multiplicity_of(info),
            labels=energies_of(info, source, unread),
        )
    except RecordError as fault:
        yield Unreadable(name, str(fault))
        return
    unread.count(*_unread_keys(info, columns))


def _atoms(info: dict[str, Any], block: str) -> tuple[list[Column], Any]:
    """Return the columns of a frame, and its atoms as ASE reads them."""
    import ase.io

    # Not splitlines, which would take a form feed for the end of a line, too.
    count, _, *lines = block.removesuffix("\n").split("\n")
    columns = _columns(str(info.get("Properties", _DEFAULT_COLUMNS)), lines)
    geometry = {key: info[key] for key in _GEOMETRY_KEYS if key in info}
    geometry["Properties"] = _with_unread_as_text(columns)
    plain = "\n".join([count, "geometry", *_with_symbols(columns, lines), ""])
    # ASE gives the comment to properties_parser, and the content of the comment is known already.
    return columns, ase.io.read(
        StringIO(plain), format="extxyz", properties_parser=lambda comment: dict(geometry)
    )


def _columns(properties: str, lines: list[str]) -> list[Column]:
    """Parse `Properties`.

    Raises RecordError if it is not a list of columns, or has more columns than a line has words:
    ASE would allocate a hundred million columns before it reads a line.
    """
    words = properties.split(":")
    triples = list(zip(words[::3], words[1::3], words[2::3], strict=False))
    counts_are_numbers = all(size.isdecimal() and len(size) <= _MAX_DIGITS for *_, size in triples)
    if len(words) % 3 or not counts_are_numbers:
        raise RecordError(
            f"Properties = {properties!r:.80}; "
            f"expected name:kind:columns:…, as {_DEFAULT_COLUMNS!r}"
        )
    columns = [(name, kind, int(size)) for name, kind, size in triples]
    expected = sum(size for *_, size in columns)
    for number, line in enumerate(lines):
        found = len(line.split())
        if found < expected:
            raise RecordError(
                f"atom {number} has {found} values; Properties names {expected} columns"
            )
    return columns


def _with_unread_as_text(columns: list[Column]) -> str:
    """Return `Properties` with unread columns as text, so that nothing in them can be wrong."""
    kept = [
        (name, kind, size) if name in _GEOMETRY_COLUMNS else (f"unread{place}", "S", size)
        for place, (name, kind, size) in enumerate(columns)
    ]
    return ":".join(f"{name}:{kind}:{size}" for name, kind, size in kept)


def _with_symbols(columns: list[Column], lines: list[str]) -> list[str]:
    """Return the lines with element symbols for atomic numbers and for heavy hydrogen."""
    from ase.data import chemical_symbols

    names = [name for name, *_ in columns]
    if "species" not in names:
        return lines
    place = sum(size for *_, size in columns[: names.index("species")])
    rows = [line.split() for line in lines]
    for row in rows:
        symbol = row[place]
        if symbol.isdecimal() and len(symbol) <= 3 and int(symbol) < len(chemical_symbols):
            row[place] = chemical_symbols[int(symbol)]
        else:
            row[place] = _ISOTOPES.get(symbol, symbol)
    return [" ".join(row) for row in rows]


def _unread_keys(info: dict[str, Any], columns: list[Column]) -> Iterator[str]:
    """Yield keys that have a value and columns; the words of a plain comment have no value."""
    for key, value in info.items():
        if key not in READ_KEYS and key not in _GEOMETRY_KEYS and value is not True:
            yield key.lower() if key in ("Stress", "Virial") else key
    for name, *_ in columns:
        if name not in _GEOMETRY_COLUMNS:
            yield name


READER = Reader(suffixes=(".extxyz", ".xyz"), records=records, packages=("ase",), code=(__file__,))
