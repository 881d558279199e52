"""CIF with one or many crystals, by pymatgen, in the cell of the file; macromolecules (mmCIF) go to `protein`.

The id is the block's name (`data_<name>`), or the file's stem where it has none. A crystal is refused, with the reason,
where pymatgen reads another one than the file describes: atoms that are not its formula times Z, sites nearer than
0.3 Å to each other, a space group without operations whose setting is open, partial occupancy, missing hydrogens.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.readers import Item, Reader, Record, Refused, contents, protein, space_groups, text
from ingest.readers.mmcif import outside_text
from ingest.systems.entry import Entry, Unreadable
from ingest.systems.geometry import nearest_pair

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure
    from pymatgen.io.cif import CifBlock

TOO_NEAR = 0.3  # Å; two sites of a crystal that are nearer are one site, or alternatives
# Images of one special position differ by the rounding of its coordinates: 0.333 and 2 x 0.333 by 0.001. pymatgen takes
# what is within 1e-4 for one. More is taken only where images are TOO_NEAR each other, which atoms never are.
TOLERANCES = (1e-4, 2e-3, 2e-2)  # in fractions of the cell, for 4, 3 and 2 decimals
KEPT = (
    "_cell_",
    "_symmetry",
    "_space_group",
    "_atom_site_",
    "_atom_site.",
    "_chemical_formula",
    "_citation_doi",
)
DROPPED = ("_atom_site_aniso", "_atom_site_geom", "_symmetry_cell")
OPERATIONS = (
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_operation_xyz_",
)
LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
LABEL, TYPE, OCCUPANCY = "_atom_site_label", "_atom_site_type_symbol", "_atom_site_occupancy"
NOT_KNOWN = (".", "?", "")
ROUNDING = 1e-6  # of a determinant that is 1 or -1
FEW = 0.05  # atoms by which a count may differ from formula times Z, as rounding of a formula may


def records(path: Path) -> Iterator[Record | Item]:
    """Blocks without an atom-site loop (a journal's global block) are no crystals and are passed over."""
    if _is_macromolecule(path):
        yield from protein.records(path)
        return
    found = False
    for name, block, line in _blocks(path):
        if any(
            row.lstrip().lower().startswith("_atom_site_")
            for row in outside_text(block.splitlines())
        ):
            found = True
            name = name or path.stem
            yield Record(name, partial(_entry, name, block), "pymatgen", block, line)
    if not found:
        yield Unreadable(
            path.stem, "no data block has an _atom_site loop; expected a crystal structure"
        )


def _is_macromolecule(path: Path) -> bool:
    with text.opened(path) as file:
        return any(line.lstrip().startswith("_atom_site.") for line in outside_text(file))


def _blocks(path: Path) -> Iterator[tuple[str, str, int]]:
    """Name, text and number of the first line of each data block. What stands in text fields begins none."""
    name, lines, first, inside = "", list[str](), 1, False
    with text.opened(path) as file:
        for number, line in enumerate(file, start=1):
            inside ^= line.startswith(";")
            if not inside and line.lstrip().lower().startswith("data_"):
                yield name, "".join(lines), first
                name, lines, first = line.split()[0][len("data_") :], [], number
            lines.append(line)
    yield name, "".join(lines), first


def _entry(name: str, block: str) -> Iterator[Entry]:
    from pymatgen.io.cif import (
        CifBlock,  # here, not above: listing formats should not import their packages
    )

    with warnings.catch_warnings(record=True):  # pymatgen warns of oddities in what is not read
        given = CifBlock.from_str(_whole(text.readable(block)))
    plain = _plain(given)
    _check_operations(plain)
    expected = contents.expected(plain.data)
    _name_elements(plain, expected)
    longest = float(_cell(plain.data)[:3].max())
    found = [_structure(setting, longest, expected) for setting in _with_operations(plain)]
    structure = _one(found, expected is not None)
    numbers = np.array([site.specie.Z for site in structure])
    yield Entry(
        name, numbers, structure.cart_coords, structure.lattice.matrix, np.ones(3, dtype=bool)
    )


def _whole(block: str) -> str:
    """The block from its `data_` on, or one with a name where it has none."""
    start = re.search(r"^\s*data_", block, flags=re.IGNORECASE | re.MULTILINE)
    return block[start.start() :].lstrip() if start else f"data_x\n{block}"


def _plain(block: CifBlock) -> CifBlock:
    """A block with nothing but what is read, occupancies that are not given being 1."""
    from pymatgen.io.cif import CifBlock

    kept = [key for key in block.data if key.startswith(KEPT) and not key.startswith(DROPPED)]
    data = {key: block.data[key] for key in kept}
    if isinstance(data.get(OCCUPANCY), list):
        data[OCCUPANCY] = ["1" if value in NOT_KNOWN else value for value in data[OCCUPANCY]]
    if not isinstance(data.get(LABEL), list):
        if not isinstance(data.get(TYPE), list):
            raise Refused(f"its atoms have neither {LABEL} nor {TYPE}")
        data[LABEL] = list(data[TYPE])
    loops = [[key for key in loop if key in data] for loop in block.loops]
    for loop in loops:
        if TYPE in loop and LABEL not in loop:
            loop.append(LABEL)
    return CifBlock(data, [loop for loop in loops if loop], "x")


def _check_operations(block: CifBlock) -> None:
    """Raise Refused for an operation that cannot be read: pymatgen would take the group's name instead."""
    from pymatgen.core.operations import SymmOp

    for key in OPERATIONS:
        values = block.data.get(key) or []
        for operation in [values] if isinstance(values, str) else values:
            try:
                turn = SymmOp.from_xyz_str(operation).rotation_matrix
            except Exception as error:
                raise Refused(f"{operation!r:.60} is no symmetry operation ({error})") from error
            if abs(abs(np.linalg.det(turn)) - 1) > ROUNDING:
                raise Refused(
                    f"{operation!r:.60} is no symmetry operation (it does not keep volumes)"
                )


def _name_elements(block: CifBlock, expected: Counter[str] | None) -> None:
    """Name the element of each site in the column of types. Raises Refused where a label should tell, and cannot."""
    data = block.data
    formula = contents.formula(data)
    types = data[TYPE] if isinstance(data.get(TYPE), list) else ["?"] * len(data[LABEL])
    if len(types) != len(data[LABEL]):
        raise Refused(
            f"{len(data[LABEL])} of {LABEL} and {len(types)} of {TYPE}: the loop of sites is not whole"
        )
    data[TYPE] = [
        contents.element_of_label(label, formula)
        if symbol in NOT_KNOWN
        else contents.element_of_type(label, symbol)
        for label, symbol in zip(data[LABEL], types, strict=True)
    ]
    for loop in block.loops:
        if LABEL in loop and TYPE not in loop:
            loop.append(TYPE)


def _with_operations(block: CifBlock) -> Iterator[str]:
    """The block's text with the operations of each setting that it may mean."""
    from pymatgen.io.cif import CifBlock

    magnetic = any("magn" in key for key in block.data)
    if magnetic or any(block.data.get(key) for key in OPERATIONS):
        yield str(block)
        return
    items = {key.lower(): value for key, value in block.data.items()}
    settings = space_groups.settings_of(items, _cell(block.data))
    if settings is None:
        yield str(block)  # pymatgen may know an odd name, and says where it does not
        return
    for setting in settings:
        data = {**block.data, OPERATIONS[0]: space_groups.operations(setting)}
        yield str(CifBlock(data, [*block.loops, [OPERATIONS[0]]], "x"))


def _cell(data: dict[str, Any]) -> np.ndarray:
    from pymatgen.io.cif import str2float

    try:
        return np.array([str2float(data[key]) for key in (*LENGTHS, *ANGLES)])
    except KeyError as error:
        raise Refused(f"the cell has no {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise Refused(f"the cell is no six numbers: {error}") from error


def _one(found: list[Structure | Refused], counted: bool) -> Structure:
    """The structure of the one setting that fits. Raises Refused where none does, or several may."""
    fitting = [structure for structure in found if not isinstance(structure, Refused)]
    if len(found) == 1 or not fitting:
        if isinstance(found[0], Refused):
            raise found[0]
        return found[0]
    if len(fitting) == 1 and counted:
        return fitting[0]
    raise Refused(
        f"the space group has {len(found)} settings (origin or axes), which give {_sizes(found)} atoms, and the file"
        " does not say which: add the symmetry operations, a suffix such as ':2', or formula and Z"
    )


def _sizes(found: list[Structure | Refused]) -> str:
    sizes = [len(structure) for structure in found if not isinstance(structure, Refused)]
    return " or ".join(map(str, sizes))


def _structure(block: str, longest: float, expected: Counter[str] | None) -> Structure | Refused:
    """What pymatgen reads, or why that is another crystal than the file describes."""
    try:
        structure, near = _parsed(block, TOLERANCES[0])
        for tolerance in TOLERANCES[1:]:
            if near is not None and tolerance * longest < TOO_NEAR:
                structure, near = _parsed(block, tolerance)
    except Refused as fault:
        return fault
    if near is not None:
        return Refused(near)
    found = Counter(
        contents.ISOTOPES.get(site.specie.symbol, site.specie.symbol) for site in structure
    )
    if expected is not None and any(abs(found[x] - expected[x]) > FEW for x in {*found, *expected}):
        return Refused(
            f"{_listed(found)} atoms in the cell; formula and Z make it {_listed(expected)}"
        )
    return structure


def _listed(counts: Counter[str]) -> str:
    return " ".join(f"{element}{counts[element]:g}" for element in sorted(counts))


def _parsed(block: str, tolerance: float) -> tuple[Structure, str | None]:
    """The structure, and which of its sites are too near to each other. Raises Refused where pymatgen warns of more."""
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        parser = CifParser.from_str(block, site_tolerance=tolerance)
        structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    for site in structure:
        if not site.is_ordered:
            raise Refused(
                f"partial occupancy at site {site.label} ({site.species_string}): give an ordered cell"
            )
    fault = _fault([" ".join(str(warning.message).split()) for warning in said], block)
    if fault:
        raise Refused(f"pymatgen reads another crystal than the file describes: {fault}")
    pair = nearest_pair(
        structure.cart_coords, structure.lattice.matrix, np.ones(3, dtype=bool), TOO_NEAR
    )
    if pair is None:
        return structure, None
    first, second, distance = pair
    names = " and ".join(str(structure[place].label) for place in (first, second))
    return (
        structure,
        f"sites {names} are {distance:.3f} Å apart; expected at least {TOO_NEAR} Å in an ordered cell",
    )


def _fault(said: list[str], block: str) -> str | None:
    """The warning that means a wrong crystal. The others tell of rounding (0.3333 to 1/3) or of optional keys."""
    unknown_group = ("Defaulting to P1",) if "_space_group" in block.lower() else ()
    fatal = ("Missing elements", "Incorrect stoichiometry", "implicit hydrogens", *unknown_group)
    return next((text for text in said if any(words in text for words in fatal)), None)


READER = Reader(
    suffixes=(".cif",),
    records=records,
    packages=("pymatgen", "pymatgen-core", "spglib", "biopython"),
    code=(__file__, contents.__file__, space_groups.__file__, *protein.READER.code),
)
