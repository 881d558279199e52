"""Which setting of a space group a CIF means if it gives no operations.

A Hall symbol names one setting. A Hermann-Mauguin name may belong to two: two choices of origin
(':1' or 'S', ':2' or 'Z') or, in rhombohedral groups, hexagonal or rhombohedral axes (':H', ':R';
without a suffix the cell decides). A number alone means the first setting of the International
Tables, but leaves origin and axes open, too. Operations are those of spglib's table of 530
settings.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ingest.readers.shared.reader import RecordError

_N_SETTINGS = 530  # Hall numbers are 1 to 530
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NAME = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_symmetry_space_group_name_h_m",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
)
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
_CODE = ("_space_group_it_coordinate_system_code", "_space_group.it_coordinate_system_code")
_CHOICES = {"s": "1", "z": "2"}  # as ICSD writes the choice of origin
_OPEN = ("1", "2", "H", "R")  # choices that a name without a suffix leaves open
# 'F d 3 m', which has been 'F d -3 m' since 1983.
_OLD_CUBIC = re.compile(r"^([pif][a-z0-9/]*?)3([mdnc]?)$")
_NEAR = 1e-2  # Å or degrees within which two lengths or angles are the same


@dataclass(frozen=True)
class Setting:
    """A row of spglib's table.

    Attributes:
        hall: The Hall number, from 1 to 530.
        number: The number of the space group, from 1 to 230.
        choice: The choice of origin or axes, '' if there is none.
        symbol: The Hall symbol, normalized.
        names: Hermann-Mauguin names, normalized.
    """

    hall: int
    number: int
    choice: str
    symbol: str
    names: frozenset[str]


@cache
def _table() -> tuple[Setting, ...]:
    import spglib  # here so that listing formats stays fast

    found, numbers = list[Setting](), set[int]()
    # spglib warns that its next version will raise where this one returns None.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        groups = [spglib.get_spacegroup_type(hall) for hall in range(1, _N_SETTINGS + 1)]
    for hall, group in enumerate(groups, start=1):
        assert group is not None
        first, *others = group.international.split("=")
        names = {group.international_full, *(others or [first])}
        if group.number not in numbers:
            names.add(first)
        names |= {_without_ones(name) for name in names}
        plain = frozenset(_normalize(name) for name in names)
        found.append(
            Setting(hall, group.number, group.choice, _normalize(group.hall_symbol), plain)
        )
        numbers.add(group.number)
    return tuple(found)


def _normalize(name: str) -> str:
    """Return a name without blanks, underscores and case."""
    return re.sub(r"[\s_'\"]", "", name).lower()


def _without_ones(name: str) -> str:
    """Return 'P 2_1/n' for 'P 1 2_1/n 1', as monoclinic groups with axis b are called."""
    words = name.split()
    is_long = len(words) == 4 and words[1] == words[3] == "1"
    return " ".join([words[0], words[2]]) if is_long else name


def settings_of(data: Mapping[str, Any], cell: np.ndarray) -> list[Setting] | None:
    """Find the settings that a data block may mean.

    Args:
        data: The block's items, with names in lower case.
        cell: (6,): a, b, c in Å and alpha, beta, gamma in degrees.

    Returns:
        One or several settings; None if the block names no group that the table has.

    Raises:
        RecordError: Name, number, suffix and cell contradict each other.
    """
    symbol = _normalize(_first(data, _HALL))
    found = [setting for setting in _table() if symbol and setting.symbol == symbol]
    if len(found) == 1:
        return found
    name, suffix = _split(_first(data, _NAME))
    suffix = suffix or _normalize(_first(data, _CODE))
    number = _first(data, _NUMBER)
    found = [setting for setting in _table() if name in setting.names]
    if found and number.isdecimal():
        found = [setting for setting in found if setting.number == int(number)]
        if not found:
            raise RecordError(
                f"the space group's name {_first(data, _NAME)!r} and number {number} "
                "contradict each other"
            )
    if not found and number.isdecimal() and not name:
        found = _of_number(int(number))
    return _chosen(found, _CHOICES.get(suffix, suffix), cell) if found else None


def _first(data: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    given = (str(data[key]).strip() for key in keys if isinstance(data.get(key), str))
    return next((value for value in given if value not in ("", "?", ".")), "")


def _split(name: str) -> tuple[str, str]:
    """Return a name as the table has it, and its suffix."""
    plain = _normalize(re.sub(r"\((no\.?|#)?\s*\d+\)", "", name, flags=re.IGNORECASE))
    plain, _, suffix = plain.partition(":")
    known = {name for setting in _table() for name in setting.names}
    candidates = [(plain, suffix)]
    if plain and plain[-1:] in "szhr":
        candidates.append((plain[:-1], plain[-1:]))
    for candidate, ending in candidates:
        for spelled in (candidate, _OLD_CUBIC.sub(r"\1-3\2", candidate)):
            if spelled in known:
                return spelled, ending
    return plain, suffix


def _of_number(number: int) -> list[Setting]:
    found = [setting for setting in _table() if setting.number == number]
    return [setting for setting in found if setting.choice in _OPEN] or found[:1]


def _chosen(found: list[Setting], suffix: str, cell: np.ndarray) -> list[Setting]:
    """Return the settings with this suffix, if there is one, and these axes."""
    if suffix:
        named = [setting for setting in found if setting.choice.lower() == suffix]
        if named:
            found = named
        elif any(setting.choice in _OPEN for setting in found):
            choices = [setting.choice for setting in found]
            raise RecordError(
                f"the space group has no setting {suffix!r}; its settings are {choices}"
            )
    fitting = [setting for setting in found if _fits(setting.choice, cell)]
    if not fitting:
        raise RecordError(
            f"the cell {cell.tolist()} does not fit setting {found[0].choice} of its space group"
        )
    return fitting


def _fits(choice: str, cell: np.ndarray) -> bool:
    """Return whether a cell has the axes of a choice, which only rhombohedral groups leave open."""
    a, b, c, *angles = cell
    if choice == "H":
        return bool(np.allclose([a, *angles], [b, 90, 90, 120], atol=_NEAR))
    if choice == "R":
        return bool(np.allclose([a, b, *angles[:2]], [b, c, *angles[1:]], atol=_NEAR))
    return True


def operations_of(setting: Setting) -> list[str]:
    """Return the operations of a setting as a CIF has them, such as '-x, y+1/2, -z'.

    Args:
        setting: A row of spglib's table.
    """
    import spglib
    from pymatgen.core.operations import SymmOp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.get_symmetry_from_database(setting.hall)
    assert found is not None
    return [
        SymmOp.from_rotation_and_translation(rotation, shift).as_xyz_str()
        for rotation, shift in zip(found["rotations"], found["translations"], strict=True)
    ]
