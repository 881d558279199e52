"""A block of a CIF, reduced to what is read, with the element of every site and all operations."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.readers.shared import cif_contents, space_groups
from ingest.readers.shared.cif_contents import TYPE
from ingest.readers.shared.reader import RecordError
from ingest.readers.shared.text import replace_bad_bytes

if TYPE_CHECKING:
    from pymatgen.io.cif import CifBlock

_KEPT = (
    "_cell_",
    "_symmetry",
    "_space_group",
    "_atom_site_",
    "_atom_site.",
    "_chemical_formula",
    "_citation_doi",
)
_DROPPED = ("_atom_site_aniso", "_atom_site_geom", "_symmetry_cell")
_OPERATIONS = (
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_operation_xyz_",
)
_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
_LABEL, _OCCUPANCY = "_atom_site_label", "_atom_site_occupancy"
_UNKNOWN = (".", "?", "")
_MAX_ROUNDING = 1e-6  # of a determinant that is 1 or -1


def parse_block(text: str) -> CifBlock:
    """Return a block with nothing but what is read.

    Every site gets a label, an element in the column of types, and an occupancy (1 if none is
    given).

    Args:
        text: The text of one data block.

    Raises:
        RecordError: An element cannot be told, or a symmetry operation cannot be read.
    """
    from pymatgen.io.cif import CifBlock  # here so that listing formats stays fast

    with warnings.catch_warnings(record=True):  # pymatgen warns about items that are not read
        given = CifBlock.from_str(_with_data_line(replace_bad_bytes(text)))
    block = _reduce(given)
    _check_operations(block)
    _name_elements(block)
    return block


def settings_of(block: CifBlock) -> Iterator[str]:
    """Give the operations of each space-group setting that a block may mean.

    Args:
        block: A block, as `parse_block` returns it.

    Yields:
        The text of the block with the operations of one setting.
    """
    from pymatgen.io.cif import CifBlock

    magnetic = any("magn" in key for key in block.data)
    if magnetic or any(block.data.get(key) for key in _OPERATIONS):
        yield str(block)
        return
    items = {key.lower(): value for key, value in block.data.items()}
    settings = space_groups.settings_of(items, cell_of(block))
    if settings is None:
        yield str(block)  # pymatgen may know an odd name, and reports one that it does not know
        return
    for setting in settings:
        data = {**block.data, _OPERATIONS[0]: space_groups.operations_of(setting)}
        yield str(CifBlock(data, [*block.loops, [_OPERATIONS[0]]], "x"))


def cell_of(block: CifBlock) -> np.ndarray:
    """Return the cell of a block: three lengths in Å and three angles in degrees, (6,).

    Args:
        block: A block of a CIF.

    Raises:
        RecordError: One of the six is missing or is not a number.
    """
    from pymatgen.io.cif import str2float

    try:
        return np.array([str2float(block.data[key]) for key in (*_LENGTHS, *_ANGLES)])
    except KeyError as error:
        raise RecordError(f"the cell has no {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise RecordError(f"the cell is not six numbers: {error}") from error


def _with_data_line(block: str) -> str:
    """Return a block from its `data_` line on; a block without one gets a name."""
    start = re.search(r"^\s*data_", block, flags=re.IGNORECASE | re.MULTILINE)
    return block[start.start() :].lstrip() if start else f"data_x\n{block}"


def _reduce(block: CifBlock) -> CifBlock:
    from pymatgen.io.cif import CifBlock

    kept = [key for key in block.data if key.startswith(_KEPT) and not key.startswith(_DROPPED)]
    data = {key: block.data[key] for key in kept}
    if isinstance(data.get(_OCCUPANCY), list):
        data[_OCCUPANCY] = ["1" if value in _UNKNOWN else value for value in data[_OCCUPANCY]]
    if not isinstance(data.get(_LABEL), list):
        if not isinstance(data.get(TYPE), list):
            raise RecordError(f"its atoms have neither {_LABEL} nor {TYPE}")
        data[_LABEL] = list(data[TYPE])
    loops = [[key for key in loop if key in data] for loop in block.loops]
    for loop in loops:
        if TYPE in loop and _LABEL not in loop:
            loop.append(_LABEL)
    return CifBlock(data, [loop for loop in loops if loop], "x")


def _check_operations(block: CifBlock) -> None:
    """Refuse an operation that cannot be read: pymatgen would use the group's name instead."""
    for key in _OPERATIONS:
        values = block.data.get(key) or []
        for operation in [values] if isinstance(values, str) else values:
            _check_operation(operation)


def _check_operation(operation: str) -> None:
    from pymatgen.core.operations import SymmOp

    try:
        rotation = SymmOp.from_xyz_str(operation).rotation_matrix
    except Exception as error:  # whatever pymatgen raises for such a text
        raise RecordError(f"{operation!r:.60} is not a symmetry operation ({error})") from error
    if abs(abs(np.linalg.det(rotation)) - 1) > _MAX_ROUNDING:
        raise RecordError(
            f"{operation!r:.60} is not a symmetry operation (it does not keep volumes)"
        )


def _name_elements(block: CifBlock) -> None:
    """Name the element of each site in the column of types."""
    data: dict[str, Any] = block.data
    formula = cif_contents.formula_of(data)
    types = data[TYPE] if isinstance(data.get(TYPE), list) else ["?"] * len(data[_LABEL])
    if len(types) != len(data[_LABEL]):
        raise RecordError(
            f"{len(data[_LABEL])} of {_LABEL} and {len(types)} of {TYPE}: "
            "the loop of sites is not whole"
        )
    data[TYPE] = [
        cif_contents.element_of_label(label, formula)
        if symbol in _UNKNOWN
        else cif_contents.element_of_type(label, symbol)
        for label, symbol in zip(data[_LABEL], types, strict=True)
    ]
    for loop in block.loops:
        if _LABEL in loop and TYPE not in loop:
            loop.append(TYPE)
