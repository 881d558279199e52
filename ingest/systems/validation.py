"""Validation of entries: an entry becomes plain arrays, or unreadable with a reason.

The bounds here are part of every dataset's fingerprint by `FORMAT` in ingest/systems/dataset.py:
raise that number when they change.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import numpy as np

from ingest.systems.entry import Entry, Unreadable
from ingest.systems.geometry import cell_heights, nearest_pair

MIN_DISTANCE = 0.1  # Å between two nuclei; no structure has less, and no model was made for it
MIN_CELL_HEIGHT = 0.7  # Å between two faces of a cell; hydrogen at 500 GPa has about 1 Å
_MAX_INTEGER = 2**31  # of an atomic number before its range is looked at; int16 is what is stored
# Of a molecule of which only the SMILES string is known; a charge is stored as int32.
_MAX_PROTONS = 2**31 - 1
_MAX_COORDINATE = 1e6  # Å; beyond this a file is broken, and the hash of the system would overflow


def validate(entry: Entry) -> Entry | Unreadable:
    """Return an entry with plain arrays, or why no model can embed it.

    Without periodicity a cell means nothing, so both are dropped: a molecule in a box is the
    molecule.

    Args:
        entry: One system as its source gives it; arrays may be lists.

    Returns:
        The entry with arrays of float64, int64 and bool; or, if something in it is impossible,
        its id and the reason.
    """
    fault = _id_fault(entry.source_id)
    if fault:
        return Unreadable(entry.source_id.encode("unicode_escape").decode(), fault)
    try:
        entry = _with_arrays(entry)
    except (TypeError, ValueError, OverflowError) as error:
        return Unreadable(entry.source_id, f"not numbers of one shape: {error}")
    reason = _fault(entry)
    return Unreadable(entry.source_id, reason) if reason else entry


def _id_fault(source_id: str) -> str | None:
    if source_id.isprintable():  # some blanks are not, and do no harm
        return None
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in source_id):
        escaped = source_id.encode("unicode_escape").decode()
        return f"the id {escaped!r:.80} holds a control character"
    return None


def _with_arrays(entry: Entry) -> Entry:
    arrays: dict[str, Any] = {
        "numbers": _integers("atomic number", entry.numbers),
        "pbc": _booleans("pbc", entry.pbc),
        **{name: _floats(getattr(entry, name)) for name in ("positions", "cell", "backbone")},
    }
    if arrays["pbc"] is not None and not arrays["pbc"].any():
        arrays["pbc"] = arrays["cell"] = None
    return replace(entry, **arrays)


def _floats(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values, dtype=np.float64)


def _integers(what: str, values: Any) -> np.ndarray | None:
    """Return an array of int64. Raises ValueError for 1.5, which int64 would make 1."""
    if values is None:
        return None
    given = np.asarray(values)
    if given.dtype.kind not in "iuf":
        raise ValueError(f"{what}s {given.tolist()!r:.60} are not numbers")
    odd = given[~(np.abs(given) < _MAX_INTEGER) | (given != np.rint(given))]
    if odd.size:
        raise ValueError(f"{what} {odd.flat[0]} is not a whole number")
    return given.astype(np.int64)


def _booleans(what: str, values: Any) -> np.ndarray | None:
    """Return an array of bool. Raises ValueError for text: 'F' would be true."""
    if values is None:
        return None
    given = np.asarray(values)
    if given.dtype.kind != "b" and not (given.dtype.kind in "iuf" and np.isin(given, (0, 1)).all()):
        raise ValueError(f"{what} {given.tolist()!r:.60} is neither true nor false")
    return given.astype(bool)


def _fault(entry: Entry) -> str | None:
    """Return the first fault of an entry with arrays; later checks rely on earlier ones."""
    if entry.numbers is None and not (entry.smiles or entry.sequence):
        return "nothing to embed: neither atoms, nor a SMILES string, nor a sequence"
    for fault in (
        _atoms_fault,
        _cell_fault,
        _distance_fault,
        _electrons_fault,
        _backbone_fault,
        _label_fault,
    ):
        reason = fault(entry)
        if reason:
            return reason
    return None


def _atoms_fault(entry: Entry) -> str | None:
    numbers, positions = entry.numbers, entry.positions
    if numbers is None or positions is None:
        alone = numbers is not positions
        return "atomic numbers and positions must come together; one is missing" if alone else None
    if numbers.ndim != 1 or not len(numbers):
        return f"a structure without atoms (atomic numbers of shape {numbers.shape})"
    if positions.shape != (len(numbers), 3):
        return (
            f"{len(numbers)} atomic numbers need positions of shape ({len(numbers)}, 3), "
            f"got {positions.shape}"
        )
    strange = numbers[(numbers < 1) | (numbers > 118)]
    if len(strange):
        return f"atomic number {strange[0]} is not between 1 and 118"
    return _coordinates_fault("position of atom", positions)


def _cell_fault(entry: Entry) -> str | None:
    cell, pbc = entry.cell, entry.pbc
    if cell is None or pbc is None:
        return None if cell is pbc else "cell and pbc must come together; one is missing"
    if entry.numbers is None or cell.shape != (3, 3) or pbc.shape != (3,):
        return f"a cell needs atoms and shapes (3, 3) and (3,), got {cell.shape} and {pbc.shape}"
    fault = _coordinates_fault("cell vector", cell)
    if fault is not None:
        return fault
    if np.linalg.matrix_rank(cell[pbc], tol=1e-3) < pbc.sum():
        return f"the periodic cell vectors span no volume: {cell.tolist()}"
    height = float(cell_heights(cell, pbc)[pbc].min())
    if height < MIN_CELL_HEIGHT:
        return (
            f"the cell is {height:.3g} Å thin; expected at least {MIN_CELL_HEIGHT} Å, "
            "so its unit may not be Å"
        )
    return None


def _distance_fault(entry: Entry) -> str | None:
    """Return which two atoms are in one place, periodic images included."""
    if entry.positions is None:
        return None
    pair = nearest_pair(entry.positions, entry.cell, entry.pbc, MIN_DISTANCE)
    if pair is None:
        return None
    first, second, distance = pair
    return (
        f"atoms {first} and {second} are {distance:.3g} Å apart; expected at least {MIN_DISTANCE} Å"
    )


def _electrons_fault(entry: Entry) -> str | None:
    """Return which charge or multiplicity these atoms cannot have."""
    charge, spin = entry.charge, entry.spin
    if spin is not None and spin < 1:
        return f"spin = {spin} is not a multiplicity; expected 2S + 1, which is at least 1"
    protons = _MAX_PROTONS if entry.numbers is None else int(entry.numbers.sum())
    if charge is not None and abs(charge) > protons:
        return f"charge = {charge} is beyond what {protons} protons can have"
    electrons = protons - (charge or 0)
    if spin is not None and spin > electrons + 1:
        return f"spin = {spin} needs {spin - 1} unpaired electrons; there are {electrons}"
    return None


def _backbone_fault(entry: Entry) -> str | None:
    if entry.backbone is None:
        return None
    expected = (len(entry.sequence or ""), 4, 3)
    if entry.backbone.shape != expected:
        return (
            f"a backbone of shape {entry.backbone.shape} does not fit its sequence, "
            f"expected {expected}"
        )
    return _coordinates_fault("backbone of residue", entry.backbone)


def _label_fault(entry: Entry) -> str | None:
    bad = (label for label in entry.labels if not np.isfinite(label.value))
    return next((f"{label.property} = {label.value} is not finite" for label in bad), None)


def _coordinates_fault(what: str, array: np.ndarray) -> str | None:
    bad = np.argwhere(~(np.abs(array) < _MAX_COORDINATE))  # catches NaN as well
    if not len(bad):
        return None
    value = array[tuple(bad[0])]
    return f"{what} {bad[0][0]} is {value}; expected finite Å within ±{_MAX_COORDINATE:.0e}"
