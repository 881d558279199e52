"""CIF with one or many crystals, by pymatgen, in the cell of the file; macromolecules (mmCIF) go to `protein`.

The id is the block's name (`data_<name>`), or the file's stem where it has none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ingest.datasets.readers import Item, Reader, Record, protein, reason
from ingest.systems import Entry, Unreadable


def records(path: Path) -> Iterator[Record | Item]:
    yield Record(path.stem, partial(entries, path), "pymatgen")


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    """Blocks without an atom-site loop (a journal's global block) are no crystals and are passed over."""
    if _is_macromolecule(path):
        yield from protein.entries(path)
        return
    found = False
    for name, block in _blocks(path):
        if "_atom_site_" in block.lower():
            found = True
            yield _entry(name or path.stem, block)
    if not found:
        yield Unreadable(path.stem, "no data block has an _atom_site loop; expected a crystal structure")


def _is_macromolecule(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return any(line.startswith("_atom_site.") for line in file)


def _blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each data block."""
    name, lines = "", list[str]()
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.lower().startswith("data_"):
                yield name, "".join(lines)
                name, lines = line.split()[0][len("data_") :], []
            lines.append(line)
    yield name, "".join(lines)


def _entry(name: str, block: str) -> Entry | Unreadable:
    from pymatgen.io.cif import CifParser  # here, not above: listing formats should not import their packages

    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            structure = CifParser.from_str(block).parse_structures(primitive=False, on_error="raise")[0]
    except Exception as error:  # a parser's faults have no common type
        return Unreadable(name, reason("pymatgen", error))
    for site in structure:
        if not site.is_ordered:
            where = f"{site.label} ({site.species_string})"
            return Unreadable(name, f"partial occupancy at site {where}: give an ordered cell")
    fault = _fault([" ".join(str(warning.message).split()) for warning in said], block)
    if fault:
        return Unreadable(name, f"pymatgen reads another crystal than the file describes: {fault}")
    numbers = np.array([site.specie.Z for site in structure])
    return Entry(name, numbers, structure.cart_coords, structure.lattice.matrix, np.ones(3, dtype=bool))


def _fault(said: list[str], block: str) -> str | None:
    """The warning that means a wrong crystal. The others tell of rounding (0.3333 to 1/3) or of optional keys."""
    unknown_group = ("Defaulting to P1",) if "_space_group" in block.lower() else ()
    fatal = ("Missing elements", "Incorrect stoichiometry", "implicit hydrogens", *unknown_group)
    return next((text for text in said if any(words in text for words in fatal)), None)


READER = Reader(
    suffixes=(".cif",),
    records=records,
    packages=("pymatgen", "pymatgen-core", "biopython"),
    code=(__file__, *protein.READER.code),
)
