"""extxyz and plain xyz, by ASE, a frame at a time. Without a Lattice a frame is a molecule.

The id is the frame's `id` (or `material_id`, …) or its number from 0. Of the comment line these are read: `charge` or
`total_charge`; `spin`, `total_spin` or `multiplicity`, all of which are 2S + 1; and `energy` or `REF_energy` (eV),
which become labels. Everything else, of atoms too (forces), is not read, and that is said once per file. Deuterium and
tritium are hydrogen; elements may be atomic numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ingest.readers import (
    READ_KEYS,
    Ignored,
    Item,
    Reader,
    Record,
    Refused,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
    text,
)
from ingest.systems.entry import Entry, Unreadable

DEFAULT_COLUMNS = "species:S:1:pos:R:3"
GEOMETRY_KEYS = ("Lattice", "Properties", "pbc")
GEOMETRY_COLUMNS = ("species", "pos", "Z")
# ASE refuses a frame for a stress that is not 3 x 3 (one of 6 numbers is as usual); by another name it is any list.
TENSOR = re.compile(r"(?<![\w-])(stress|virial)(?=\s*=)")
ISOTOPES = {"D": "H", "T": "H"}  # heavy hydrogens
MOST_DIGITS = 12  # of a number of atoms; more are no number that a file can hold


def records(path: Path) -> Iterator[Record | Item]:
    ignored = Ignored()
    with text.opened(path) as file:
        for index, frame in enumerate(_frames(file, path.stat().st_size)):
            if isinstance(frame, Unreadable):
                yield frame
            else:
                block, line = frame
                read = partial(_entry, index, block, path.name, ignored)
                yield Record(str(index), read, "ASE", block, line)
    yield from ignored.remarks()


def _frames(file: TextIO, size: int) -> Iterator[tuple[str, int] | Unreadable]:
    """The text of each frame and the number of its first line.

    After a broken frame the rest cannot be told apart, so it is the last. A frame without atoms is not broken.
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
        if len(rest) < atoms + 1 and atoms:
            yield Unreadable(
                str(index), f"the file ends after {max(len(rest) - 1, 0)} of {atoms} atoms"
            )
            return
        yield (
            (line + "".join(rest), first)
            if atoms
            else Unreadable(str(index), "a frame without atoms")
        )
        index += 1


def _count_fault(word: str, size: int) -> str | None:
    """Why a word is no number of atoms in a file of so many bytes."""
    if not word.isdecimal():
        return f"expected a number of atoms, got {text.readable(word)!r:.60}"
    if len(word) > MOST_DIGITS or int(word) > size:  # an atom takes several bytes
        return f"{word:.60} atoms do not fit in a file of {size} bytes"
    return None


def _entry(index: int, block: str, source: str, ignored: Ignored) -> Iterator[Entry | Unreadable]:
    from ase.io.extxyz import (
        key_val_str_to_dict,  # here, not above: listing formats should not import their packages
    )

    info: dict[str, Any] = key_val_str_to_dict(
        TENSOR.sub(lambda key: key[1].title(), block.split("\n", 2)[1])
    )
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
            labels=energies_of(info, source, ignored),
        )
    except Refused as fault:
        yield Unreadable(name, str(fault))
        return
    ignored.count(*_rest(info, columns))


def _atoms(info: dict[str, Any], block: str) -> tuple[list[Column], Any]:
    """The columns of a frame, and its atoms as ASE reads them."""
    import ase.io

    count, _, *lines = block.removesuffix("\n").split(
        "\n"
    )  # splitlines would take a form feed for an end too
    columns = _columns(str(info.get("Properties", DEFAULT_COLUMNS)), lines)
    geometry = {key: info[key] for key in GEOMETRY_KEYS if key in info} | {
        "Properties": _without_rest(columns)
    }
    plain = "\n".join([count, "geometry", *_with_symbols(columns, lines), ""])
    # ASE gives the comment to this function; what it holds is known already.
    return columns, ase.io.read(
        StringIO(plain), format="extxyz", properties_parser=lambda comment: dict(geometry)
    )


Column = tuple[str, str, int]  # name, kind (S, R, I or L), and how many words of a line


def _columns(properties: str, lines: list[str]) -> list[Column]:
    """What `Properties` says. Raises Refused where it is no list of columns, or of more than a line has words.

    ASE would make room for a hundred million columns before it looks at a line.
    """
    words = properties.split(":")
    triples = list(zip(words[::3], words[1::3], words[2::3], strict=False))
    if len(words) % 3 or not all(
        size.isdecimal() and len(size) <= MOST_DIGITS for *_, size in triples
    ):
        raise Refused(
            f"Properties = {properties!r:.80}; expected name:kind:columns:…, as {DEFAULT_COLUMNS!r}"
        )
    columns = [(name, kind, int(size)) for name, kind, size in triples]
    wanted = sum(size for *_, size in columns)
    for number, line in enumerate(lines):
        if len(line.split()) < wanted:
            raise Refused(
                f"atom {number} has {len(line.split())} values; Properties names {wanted} columns"
            )
    return columns


def _without_rest(columns: list[Column]) -> str:
    """The columns with those that are not read as nameless text, so that nothing in them can be wrong."""
    kept = [
        (name, kind, size) if name in GEOMETRY_COLUMNS else (f"unread{place}", "S", size)
        for place, (name, kind, size) in enumerate(columns)
    ]
    return ":".join(f"{name}:{kind}:{size}" for name, kind, size in kept)


def _with_symbols(columns: list[Column], lines: list[str]) -> list[str]:
    """The lines with symbols of elements for atomic numbers and for heavy hydrogen."""
    from ase.data import chemical_symbols

    place = 0
    for name, _, size in columns:
        if name == "species":
            break
        place += size
    else:
        return lines
    rows = [line.split() for line in lines]
    for row in rows:
        symbol = row[place]
        if symbol.isdecimal() and len(symbol) <= 3 and int(symbol) < len(chemical_symbols):
            row[place] = chemical_symbols[int(symbol)]
        else:
            row[place] = ISOTOPES.get(symbol, symbol)
    return [" ".join(row) for row in rows]


def _rest(info: dict[str, Any], columns: list[Column]) -> Iterator[str]:
    """What is not read: keys that have a value (words of a plain comment have none), and columns."""
    for key, value in info.items():
        if key not in READ_KEYS and key not in GEOMETRY_KEYS and value is not True:
            yield key.lower() if key in ("Stress", "Virial") else key
    for name, *_ in columns:
        if name not in GEOMETRY_COLUMNS:
            yield name


READER = Reader(suffixes=(".extxyz", ".xyz"), records=records, packages=("ase",), code=(__file__,))
