"""The structure that pymatgen reads from a block, refused if the file describes another one."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ingest.readers.shared.cif_contents import ISOTOPES
from ingest.readers.shared.reader import RecordError
from ingest.systems.geometry import nearest_pair

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

# Å; two sites of a crystal that are nearer to each other are one site, or alternatives.
_MIN_DISTANCE = 0.3
# Images of one special position differ by the rounding of its coordinates: 0.333 and 2 x 0.333 by
# 0.001. pymatgen merges what is within 1e-4. Larger tolerances are tried only if images are nearer
# than _MIN_DISTANCE, which atoms never are. In fractions of the cell, for 4, 3 and 2 decimals.
_TOLERANCES = (1e-4, 2e-3, 2e-2)
_MAX_MISCOUNT = 0.05  # atoms by which a count may differ from formula times Z, due to rounding
_FATAL_WARNINGS = ("Missing elements", "Incorrect stoichiometry", "implicit hydrogens")


def read_structure(
    settings: Iterable[str], longest: float, expected: Counter[str] | None
) -> Structure:
    """Read the structure of the one setting that fits what the file says.

    Args:
        settings: The text of a block with the operations of each setting it may mean.
        longest: The longest side of the cell in Å.
        expected: Atoms of each element in the cell by formula and Z, None if the file lacks them.

    Returns:
        The structure, in the cell of the file.

    Raises:
        RecordError: No setting gives the crystal that the file describes, or several may.
    """
    found = [_try_setting(setting, longest, expected) for setting in settings]
    fitting = [structure for structure in found if not isinstance(structure, RecordError)]
    if len(found) == 1 or not fitting:
        if isinstance(found[0], RecordError):
            raise found[0]
        return found[0]
    if len(fitting) == 1 and expected is not None:
        return fitting[0]
    sizes = " or ".join(str(len(structure)) for structure in fitting)
    raise RecordError(
        f"the space group has {len(found)} settings (origin or axes), which give {sizes} atoms, "
        "and the file does not say which: add the symmetry operations, a suffix such as ':2', or "
        "formula and Z"
    )


def _try_setting(
    block: str, longest: float, expected: Counter[str] | None
) -> Structure | RecordError:
    """Return what pymatgen reads, or why that is another crystal than the file describes."""
    try:
        structure, too_near = _parse(block, _TOLERANCES[0])
        for tolerance in _TOLERANCES[1:]:
            if too_near is not None and tolerance * longest < _MIN_DISTANCE:
                structure, too_near = _parse(block, tolerance)
    except RecordError as fault:
        return fault
    if too_near is not None:
        return RecordError(too_near)
    symbols = [site.specie.symbol for site in structure]
    found = Counter(ISOTOPES.get(symbol, symbol) for symbol in symbols)
    if expected is not None and any(
        abs(found[element] - expected[element]) > _MAX_MISCOUNT for element in {*found, *expected}
    ):
        return RecordError(
            f"{_listed(found)} atoms in the cell; formula and Z make it {_listed(expected)}"
        )
    return structure


def _listed(counts: Counter[str]) -> str:
    return " ".join(f"{element}{counts[element]:g}" for element in sorted(counts))


def _parse(block: str, tolerance: float) -> tuple[Structure, str | None]:
    """Return the structure, and which of its sites are too near to each other."""
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parser = CifParser.from_str(block, site_tolerance=tolerance)
        structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    for site in structure:
        if not site.is_ordered:
            raise RecordError(
                f"partial occupancy at site {site.label} ({site.species_string}): "
                "give an ordered cell"
            )
    fault = _fatal_warning([" ".join(str(warning.message).split()) for warning in caught], block)
    if fault:
        raise RecordError(f"pymatgen reads another crystal than the file describes: {fault}")
    return structure, _distance_fault(structure)


def _distance_fault(structure: Structure) -> str | None:
    periodic = np.ones(3, dtype=bool)
    cell = structure.lattice.matrix
    pair = nearest_pair(structure.cart_coords, cell, periodic, _MIN_DISTANCE)
    if pair is None:
        return None
    first, second, distance = pair
    names = " and ".join(str(structure[place].label) for place in (first, second))
    return (
        f"sites {names} are {distance:.3f} Å apart; "
        f"expected at least {_MIN_DISTANCE} Å in an ordered cell"
    )


def _fatal_warning(messages: list[str], block: str) -> str | None:
    """Return the warning that means a wrong crystal.

    The others are about rounding (0.3333 to 1/3) or about optional items.
    """
    unknown_group = ("Defaulting to P1",) if "_space_group" in block.lower() else ()
    fatal = (*_FATAL_WARNINGS, *unknown_group)
    return next((text for text in messages if any(words in text for words in fatal)), None)
