"""What a CIF says its cell contains: the formula and Z, and the element of each site by its type or its label."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ingest.readers import Refused

FORMULA, UNITS = "_chemical_formula_sum", "_cell_formula_units_Z"
TYPE = "_atom_site_type_symbol"
ISOTOPES = {"D": "H", "T": "H"}  # heavy hydrogens
HEAVIEST = (
    103  # of what a label alone may mean; 'Cn1' is carbon, as no crystal of copernicium is known
)
FACTORS = re.compile(
    r"(?<=[A-Za-z])(?:val|va|w)$", re.IGNORECASE
)  # 'Cval' names carbon's scattering factors


def expected(data: dict[str, Any]) -> Counter[str] | None:
    """Atoms of each element in the cell by the formula and Z, None where one of them is not given or is no number."""
    unit = formula(data)
    units = str(data.get(UNITS, "")).strip()
    if unit is None or not re.fullmatch(r"\d{1,6}", units) or int(units) == 0:
        return None
    return Counter({element: count * int(units) for element, count in unit.items()})


def formula(data: dict[str, Any]) -> dict[str, float] | None:
    """Atoms of each element in the formula, None where there is none, or one such as 'C6 H5 (O2)n'."""
    found: dict[str, float] = {}
    for word in str(data.get(FORMULA, "")).replace(",", " ").split():
        parts = re.findall(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+|)", word)
        if "".join(map("".join, parts)) != word:
            return None
        for symbol, count in parts:
            element = ISOTOPES.get(symbol, symbol)
            found[element] = found.get(element, 0.0) + float(count or 1)
    return found or None


def _is_element(symbol: str) -> bool:
    from pymatgen.core.periodic_table import Element

    return bool(symbol) and (symbol in ISOTOPES or Element.is_valid_symbol(symbol))


def element_of_type(label: str, symbol: str) -> str:
    """The element of a type symbol, such as 'Fe3+'."""
    letters = (re.match(r"[A-Za-z]+", symbol) or [""])[0]
    if letters.lower() == "wat":
        raise Refused(
            f"site {label} is water without its hydrogens ({symbol!r}): give them as sites"
        )
    for candidate in (letters.title(), FACTORS.sub("", letters).title()):
        if _is_element(candidate):
            return ISOTOPES.get(candidate, candidate)
    raise Refused(f"site {label} is {symbol!r}, which is no element")


def element_of_label(label: str, unit: dict[str, float] | None) -> str:
    """The element that a label begins with. 'HO1' may be holmium, or hydrogen at an oxygen: there the formula tells.

    Without one, a label that is written as an element is ('Ho1') means that element.
    """
    from pymatgen.core.periodic_table import Element

    letters = (re.match(r"[A-Za-z]+", label) or [""])[0]
    spelled = [letters[:2].title(), letters[:1].upper()]
    found = [symbol for symbol in dict.fromkeys(spelled) if _is_element(symbol)]
    candidates = list(dict.fromkeys(ISOTOPES.get(symbol, symbol) for symbol in found))
    candidates = [symbol for symbol in candidates if Element(symbol).Z <= HEAVIEST]
    if len(candidates) > 1 and unit is not None:
        candidates = [symbol for symbol in candidates if symbol in unit]
    if len(candidates) > 1 and unit is None and letters[1].islower():
        candidates = candidates[:1]
    if len(candidates) != 1:
        may_be = " or ".join(candidates) or "no element"
        raise Refused(f"site {label!r} may be {may_be}: add {TYPE}, or a formula that tells")
    return candidates[0]
