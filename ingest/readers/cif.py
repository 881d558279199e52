"""CIF with one or many crystals, by pymatgen, in the cell of the file.

Macromolecules (mmCIF) are read as `pdb` reads them. The id is the block's name (`data_<name>`), or
the file's stem if it has none. A crystal is refused, with the reason, if pymatgen reads another one
than the file describes: atoms that are not its formula times Z, sites nearer than 0.3 Å to each
other, a space group without operations that leaves its setting open, partial occupancy, missing
hydrogens.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ingest.readers import pdb
from ingest.readers.shared import cif_block, cif_contents, cif_structure, space_groups, text
from ingest.readers.shared.mmcif_atoms import outside_text
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.reader import Reader, Record
from ingest.systems.dataset import Item
from ingest.systems.entry import Entry, Unreadable


def records(path: Path) -> Iterator[Record | Item]:
    """Cut a file into its data blocks.

    Args:
        path: A CIF.

    Yields:
        One record per block with atoms. A block without a loop of sites (a journal's global block)
        is not a crystal and is passed over.
    """
    if _is_macromolecule(path):
        yield from pdb.records(path)
        return
    found, stem = False, plain_name(path).stem
    for name, block, line in _blocks(path):
        if _has_sites(block):
            found = True
            name = name or stem
            yield Record(name, partial(_entry, name, block), "pymatgen", block, line)
    if not found:
        fault = "no data block has an _atom_site loop; expected a crystal structure"
        yield Unreadable(stem, fault)


def _is_macromolecule(path: Path) -> bool:
    with text.open_text(path) as file:
        return any(line.lstrip().startswith("_atom_site.") for line in outside_text(file))


def _has_sites(block: str) -> bool:
    rows = outside_text(block.splitlines())
    return any(row.lstrip().lower().startswith("_atom_site_") for row in rows)


def _blocks(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield name, text and number of the first line of each data block.

    A line within a text field does not begin a block.
    """
    name, lines, first, inside = "", list[str](), 1, False
    with text.open_text(path) as file:
        for number, line in enumerate(file, start=1):
            inside ^= line.startswith(";")
            if not inside and line.lstrip().lower().startswith("data_"):
                yield name, "".join(lines), first
                name, lines, first = line.split()[0][len("data_") :], [], number
            lines.append(line)
    yield name, "".join(lines), first


def _entry(name: str, content: str) -> Iterator[Entry]:
    block = cif_block.parse_block(content)
    expected = cif_contents.expected_atoms(block.data)
    longest = float(cif_block.cell_of(block)[:3].max())
    structure = cif_structure.read_structure(cif_block.settings_of(block), longest, expected)
    numbers = np.array([site.specie.Z for site in structure])
    periodic = np.ones(3, dtype=bool)
    yield Entry(name, numbers, structure.cart_coords, structure.lattice.matrix, periodic)


READER = Reader(
    suffixes=(".cif",),
    records=records,
    packages=("pymatgen", "pymatgen-core", "spglib", "biopython"),
    code=(
        __file__,
        cif_block.__file__,
        cif_contents.__file__,
        cif_structure.__file__,
        space_groups.__file__,
        *pdb.READER.code,
    ),
    chains=True,
)
