"""What a CIF says its cell contains: formula and Z, and the element of each site."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ingest.readers.shared.reader import RecordError

_FORMULA, _UNITS = "_chemical_formula_sum", "_cell_formula_units_Z"
TYPE = "_atom_site_type_symbol"
ISOTOPES = {"D": "H", "T": "H"}  # heavy hydrogens
# The last element that a label alone may mean: 'Cn1' is carbon, as no crystal of copernicium is
# known.
_MAX_NUMBER = 103
_FACTORS = re.compile(r"(?<=[A-Za-z])(?:val|va|w)$", re.IGNORECASE)  # 'Cval' is a kind of carbon


def expected_atoms(data: dict[str, Any]) -> Counter[str] | None:
    """Return how many atoms of each element the cell has by its formula and Z.

    Args:
        data: The items of a CIF's block.

    Returns:
        Counts by element; None if formula or Z is missing or is not a number.
    """
    unit = formula_of(data)
    units = str(data.get(_UNITS, "")).strip()
    if unit is None or not re.fullmatch(r"\d{1,6}", units) or int(units) == 0:
        return None
    return Counter({element: count * int(units) for element, count in unit.items()})


def formula_of(data: dict[str, Any]) -> dict[str, float] | None:
    """Return how many atoms of each element the formula has.

    Args:
        data: The items of a CIF's block.

    Returns:
        Counts by element; None if there is no formula, or one such as 'C6 H5 (O2)n'.
    """
    found: dict[str, float] = {}
    for word in str(data.get(_FORMULA, "")).replace(",", " ").split():
        parts = re.findall(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+|)", word)
        if "".join(map("".join, parts)) != word:
            return None
        for symbol, count in parts:
            element = ISOTOPES.get(symbol, symbol)
            found[element] = found.get(element, 0.0) + float(count or 1)
    return found or None


def element_of_type(label: str, symbol: str) -> str:
    """Return the element of a type symbol, such as 'Fe3+'.

    Args:
        label: The label of the site, for messages.
        symbol: Its type symbol.

    Raises:
        RecordError: The symbol is not an element, or is water without its hydrogens.
    """
    letters = (re.match(r"[A-Za-z]+", symbol) or [""])[0]
    if letters.lower() == "wat":
        raise RecordError(
            f"site {label} is water without its hydrogens ({symbol!r}): give them as sites"
        )
    for candidate in (letters.title(), _FACTORS.sub("", letters).title()):
        if _is_element(candidate):
            return ISOTOPES.get(candidate, candidate)
    raise RecordError(f"site {label} is {symbol!r}, which is not an element")


def element_of_label(label: str, unit: dict[str, float] | None) -> str:
    """Return the element with which a label begins.

    'HO1' may be holmium, or a hydrogen at an oxygen: the formula decides. Without a formula, a
    label that is spelled as an element ('Ho1') means that element.

    Args:
        label: The label of a site.
        unit: The formula, as `formula_of` returns it.

    Raises:
        RecordError: No element, or several, may be meant.
    """
    from pymatgen.core.periodic_table import Element

    letters = (re.match(r"[A-Za-z]+", label) or [""])[0]
    spelled = [letters[:2].title(), letters[:1].upper()]
    found = [symbol for symbol in dict.fromkeys(spelled) if _is_element(symbol)]
    candidates = list(dict.fromkeys(ISOTOPES.get(symbol, symbol) for symbol in found))
    candidates = [symbol for symbol in candidates if Element(symbol).Z <= _MAX_NUMBER]
    if len(candidates) > 1 and unit is not None:
        candidates = [symbol for symbol in candidates if symbol in unit]
    if len(candidates) > 1 and unit is None and letters[1].islower():
        candidates = candidates[:1]
    if len(candidates) != 1:
        may_be = " or ".join(candidates) or "no element"
        raise RecordError(f"site {label!r} may be {may_be}: add {TYPE}, or a formula that tells")
    return candidates[0]


def _is_element(symbol: str) -> bool:
    from pymatgen.core.periodic_table import Element

    return bool(symbol) and (symbol in ISOTOPES or Element.is_valid_symbol(symbol))
