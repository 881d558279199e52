"""Which setting of a space group a CIF means where it gives no operations.

A Hall symbol names one setting. A Hermann-Mauguin name may belong to two: two choices of origin (':1' or 'S', ':2' or
'Z') or, of rhombohedral groups, hexagonal or rhombohedral axes (':H', ':R'; without a suffix the cell tells). A number
alone means the first setting of the International Tables, but leaves origin and axes open as well. Operations are those
of spglib's table of 530 settings.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ingest.readers import Refused

SETTINGS = 530  # Hall numbers are 1 to 530
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NAME = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_symmetry_space_group_name_h_m",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
)
NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
CODE = ("_space_group_it_coordinate_system_code", "_space_group.it_coordinate_system_code")
CHOICES = {"s": "1", "z": "2"}  # as ICSD writes the choice of origin
OPEN = ("1", "2", "H", "R")  # choices that a name without a suffix leaves open
OLD_CUBIC = re.compile(
    r"^([pif][a-z0-9/]*?)3([mdnc]?)$"
)  # 'F d 3 m', which is 'F d -3 m' since 1983
NEAR = 1e-2  # Å or degrees in which two lengths or angles are the same


@dataclass(frozen=True)
class Setting:
    """A row of the table."""

    hall: int
    number: int
    choice: str
    symbol: str
    names: frozenset[str]


@cache
def table() -> tuple[Setting, ...]:
    """The 530 settings."""
    import spglib  # here, not above: listing formats should not import their packages

    found, numbers = list[Setting](), set[int]()
    with (
        warnings.catch_warnings()
    ):  # spglib says that its next version will raise where this one returns None
        warnings.simplefilter("ignore", DeprecationWarning)
        groups = [spglib.get_spacegroup_type(hall) for hall in range(1, SETTINGS + 1)]
    for hall, group in enumerate(groups, start=1):
        assert group is not None
        first, *others = group.international.split("=")
        names = {group.international_full, *(others or [first])}
        if group.number not in numbers:
            names.add(first)
        names |= {without_ones(name) for name in names}
        plain = frozenset(normal(name) for name in names)
        found.append(Setting(hall, group.number, group.choice, normal(group.hall_symbol), plain))
        numbers.add(group.number)
    return tuple(found)


def normal(name: str) -> str:
    """A name without blanks, underscores and case."""
    return re.sub(r"[\s_'\"]", "", name).lower()


def without_ones(name: str) -> str:
    """'P 1 2_1/n 1' as 'P 2_1/n', as monoclinic groups with b as their axis are called."""
    words = name.split()
    return (
        " ".join([words[0], words[2]]) if len(words) == 4 and words[1] == words[3] == "1" else name
    )


def settings_of(data: Mapping[str, Any], cell: np.ndarray) -> list[Setting] | None:
    """The settings that a data block may mean, None if it names no group that the table has.

    Args:
        data: the block's items, with names in lower case.
        cell: a, b, c in Å and alpha, beta, gamma in degrees.

    Raises:
        Refused: name, number, suffix and cell contradict each other.
    """
    symbol = normal(_first(data, HALL))
    found = [setting for setting in table() if symbol and setting.symbol == symbol]
    if len(found) == 1:
        return found
    name, suffix = _split(_first(data, NAME))
    suffix = suffix or normal(_first(data, CODE))
    number = _first(data, NUMBER)
    found = [setting for setting in table() if name in setting.names]
    if found and number.isdecimal():
        found = [setting for setting in found if setting.number == int(number)]
        if not found:
            raise Refused(
                f"the space group's name {_first(data, NAME)!r} and number {number} contradict each other"
            )
    if not found and number.isdecimal() and not name:
        found = _of_number(int(number))
    return _chosen(found, CHOICES.get(suffix, suffix), cell) if found else None


def _first(data: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    given = (str(data[key]).strip() for key in keys if isinstance(data.get(key), str))
    return next((value for value in given if value not in ("", "?", ".")), "")


def _split(name: str) -> tuple[str, str]:
    """A name as the table has it, and its suffix."""
    plain = normal(re.sub(r"\((no\.?|#)?\s*\d+\)", "", name, flags=re.IGNORECASE))
    plain, _, suffix = plain.partition(":")
    known = {name for setting in table() for name in setting.names}
    candidates = (
        [(plain, suffix), (plain[:-1], plain[-1:])]
        if plain[-1:] in "szhr" and plain
        else [(plain, suffix)]
    )
    for candidate, ending in candidates:
        for spelled in (candidate, OLD_CUBIC.sub(r"\1-3\2", candidate)):
            if spelled in known:
                return spelled, ending
    return plain, suffix


def _of_number(number: int) -> list[Setting]:
    found = [setting for setting in table() if setting.number == number]
    return [setting for setting in found if setting.choice in OPEN] or found[:1]


def _chosen(found: list[Setting], suffix: str, cell: np.ndarray) -> list[Setting]:
    """Those with this suffix, where there is one, and these axes."""
    if suffix:
        named = [setting for setting in found if setting.choice.lower() == suffix]
        if named:
            found = named
        elif any(setting.choice in OPEN for setting in found):
            raise Refused(
                f"the space group has no setting {suffix!r}; its settings are {[x.choice for x in found]}"
            )
    fitting = [setting for setting in found if _fits(setting.choice, cell)]
    if not fitting:
        raise Refused(
            f"the cell {cell.tolist()} does not fit setting {found[0].choice} of its space group"
        )
    return fitting


def _fits(choice: str, cell: np.ndarray) -> bool:
    """Whether a cell has the axes of a choice, which only rhombohedral groups leave open."""
    a, b, c, *angles = cell
    if choice == "H":
        return bool(np.allclose([a, *angles], [b, 90, 90, 120], atol=NEAR))
    if choice == "R":
        return bool(np.allclose([a, b, *angles[:2]], [b, c, *angles[1:]], atol=NEAR))
    return True


def operations(setting: Setting) -> list[str]:
    """The operations of a setting as a CIF has them, such as '-x, y+1/2, -z'."""
    import spglib
    from pymatgen.core.operations import SymmOp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.get_symmetry_from_database(setting.hall)
    assert found is not None
    pairs = zip(found["rotations"], found["translations"], strict=True)
    return [SymmOp.from_rotation_and_translation(turn, shift).as_xyz_str() for turn, shift in pairs]
