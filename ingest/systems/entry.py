"""Entries: one system each as its source gives it, checked and hashed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.encoder import content_hash

__all__ = ["DatasetError", "Entry", "Label", "Unreadable", "checked", "content_hash"]

SAME_PLACE = 0.1  # Å; no two nuclei of any structure come so near, and no model was made for it
THINNEST = 0.7  # Å between two faces of a cell; hydrogen at 500 GPa has about 1 Å
LARGEST = 2**31  # of an atomic number before it is looked at; what is stored is int16
MOST_PROTONS = (
    2**31 - 1
)  # for a molecule of which only the SMILES is known; a charge is stored as int32
FARTHEST = 1e6  # Å; a coordinate beyond this is a broken file, and its hash would overflow


class DatasetError(Exception):
    """A dataset that does not exist, or a source that cannot be read as a whole."""


@dataclass(frozen=True, slots=True)
class Label:
    """A property of a system: its value, unit ('1' if it has none) and where the value comes from."""

    property: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One system as its source gives it, before it is checked. What a system lacks is None."""

    source_id: str
    numbers: np.ndarray | None = None  # (n,) atomic numbers
    positions: np.ndarray | None = None  # (n, 3) Å
    cell: np.ndarray | None = None  # (3, 3) Å, rows are lattice vectors
    pbc: np.ndarray | None = None  # (3,) bool
    charge: int | None = None  # elementary charges
    spin: int | None = None  # multiplicity, 2S + 1
    smiles: str | None = None  # canonical, by RDKit
    sequence: str | None = None  # one-letter amino acids
    backbone: np.ndarray | None = None  # (residues, 4, 3) Å: N, CA, C, O
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of a source that could not be read, and why."""

    source_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What a source holds beside its entries and is worth telling, such as keys that nobody reads."""

    text: str


def checked(entry: Entry) -> Entry | Unreadable:
    """The entry with plain arrays, or why it cannot be embedded by anything.

    Without periodicity a cell means nothing, so both are dropped: a molecule in a box is the molecule.
    """
    odd = not entry.source_id.isprintable()  # so are some blanks, which are no harm
    if odd and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in entry.source_id):
        plain = entry.source_id.encode("unicode_escape").decode()
        return Unreadable(plain, f"the id {plain!r:.80} holds a control character")
    try:
        entry = _with_arrays(entry)
    except (TypeError, ValueError, OverflowError) as error:
        return Unreadable(entry.source_id, f"not numbers of one shape: {error}")
    reason = _fault(entry)
    return Unreadable(entry.source_id, reason) if reason else entry


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
    """An array of int64. Raises ValueError for 1.5, which int64 would make 1."""
    if values is None:
        return None
    given = np.asarray(values)
    if given.dtype.kind not in "iuf":
        raise ValueError(f"{what}s {given.tolist()!r:.60} are not numbers")
    odd = given[~(np.abs(given) < LARGEST) | (given != np.rint(given))]
    if odd.size:
        raise ValueError(f"{what} {odd.flat[0]} is not a whole number")
    return given.astype(np.int64)


def _booleans(what: str, values: Any) -> np.ndarray | None:
    """An array of bool. Raises ValueError for text: 'F' would be true."""
    if values is None:
        return None
    given = np.asarray(values)
    if given.dtype.kind != "b" and not (given.dtype.kind in "iuf" and np.isin(given, (0, 1)).all()):
        raise ValueError(f"{what} {given.tolist()!r:.60} is neither true nor false")
    return given.astype(bool)


def _fault(entry: Entry) -> str | None:
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
        return (
            None
            if numbers is positions
            else "atomic numbers and positions must come together; one is missing"
        )
    if numbers.ndim != 1 or not len(numbers):
        return f"a structure without atoms (atomic numbers of shape {numbers.shape})"
    if positions.shape != (len(numbers), 3):
        return f"{len(numbers)} atomic numbers need positions of shape ({len(numbers)}, 3), got {positions.shape}"
    strange = numbers[(numbers < 1) | (numbers > 118)]
    if len(strange):
        return f"atomic number {strange[0]} is not between 1 and 118"
    return _coordinates_fault("position of atom", positions)


def _distance_fault(entry: Entry) -> str | None:
    """Two atoms in one place, over the cell's borders too."""
    if entry.positions is None:
        return None
    pair = nearest_pair(entry.positions, entry.cell, entry.pbc, SAME_PLACE)
    if pair is None:
        return None
    first, second, distance = pair
    return (
        f"atoms {first} and {second} are {distance:.3g} Å apart; expected at least {SAME_PLACE} Å"
    )


def nearest_pair(
    positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None, within: float
) -> tuple[int, int, float] | None:
    """The two atoms that are nearest to each other, if they are nearer than `within`.

    Args:
        positions: (n, 3) in Å.
        cell: (3, 3) in Å, or None without periodicity.
        pbc: (3,) bool, or None without periodicity.
        within: a distance in Å, less than half the height of the cell in any periodic direction.

    Returns:
        The indices of the two atoms, the smaller first, and their distance in Å; None if no two are that near.
    """
    pairs = _candidates(positions, cell, pbc, within)
    vectors = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    if cell is not None and pbc is not None:
        complete = _complete(cell, pbc)
        shifts = np.rint(vectors @ np.linalg.inv(complete)) * pbc
        vectors = vectors - shifts @ complete
    distances = np.linalg.norm(vectors, axis=1)
    if not (distances < within).any():
        return None
    nearest = int(distances.argmin())
    first, second = sorted(pairs[nearest].tolist())
    return first, second, float(distances[nearest])


def _candidates(
    positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None, within: float
) -> np.ndarray:
    """Pairs of atoms (m, 2) among which are all that are nearer than a distance."""
    from scipy.spatial import KDTree  # here, not above: it is slow to import

    if cell is None or pbc is None:
        return np.asarray(KDTree(positions).query_pairs(within, output_type="ndarray"))
    # Distances to the cell's faces: no pair is farther apart in them than it is in space.
    inverse = np.linalg.inv(_complete(cell, pbc))
    heights = 1 / np.linalg.norm(inverse, axis=0)
    fractions = positions @ inverse
    scaled = np.where(pbc, fractions % 1.0 % 1.0, fractions) * heights  # twice: -1e-17 % 1.0 is 1.0
    tree = KDTree(scaled, boxsize=np.where(pbc, heights, 0.0))
    return np.asarray(tree.query_pairs(within, p=np.inf, output_type="ndarray"))


def _complete(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """The cell with unit vectors, perpendicular to the periodic ones, where it is not periodic."""
    if pbc.all():
        return cell
    span = np.linalg.svd(np.where(pbc[:, None], cell, 0.0))[2]
    complete = cell.copy()
    complete[~pbc] = span[pbc.sum() :]
    return complete


def _electrons_fault(entry: Entry) -> str | None:
    """A charge or a multiplicity that these atoms cannot have."""
    charge, spin = entry.charge, entry.spin
    if spin is not None and spin < 1:
        return f"spin = {spin} is no multiplicity; expected 2S + 1, which is at least 1"
    protons = MOST_PROTONS if entry.numbers is None else int(entry.numbers.sum())
    if charge is not None and abs(charge) > protons:
        return f"charge = {charge} is beyond what {protons} protons can have"
    if spin is not None and spin > protons - (charge or 0) + 1:
        return f"spin = {spin} needs {spin - 1} unpaired electrons; there are {protons - (charge or 0)}"
    return None


def _label_fault(entry: Entry) -> str | None:
    return next(
        (
            f"{x.property} = {x.value} is not finite"
            for x in entry.labels
            if not np.isfinite(x.value)
        ),
        None,
    )


def _coordinates_fault(what: str, array: np.ndarray) -> str | None:
    bad = np.argwhere(~(np.abs(array) < FARTHEST))  # catches NaN as well
    if not len(bad):
        return None
    return f"{what} {bad[0][0]} is {array[tuple(bad[0])]}; expected finite Å within ±{FARTHEST:.0e}"


def _cell_fault(entry: Entry) -> str | None:
    cell, pbc = entry.cell, entry.pbc
    if cell is None or pbc is None:
        return None if cell is pbc else "cell and pbc must come together; one is missing"
    if entry.numbers is None or cell.shape != (3, 3) or pbc.shape != (3,):
        return f"a cell needs atoms and shapes (3, 3) and (3,), got {cell.shape} and {pbc.shape}"
    fault = _coordinates_fault("cell vector", cell)
    if fault is None and np.linalg.matrix_rank(cell[pbc], tol=1e-3) < pbc.sum():
        return f"the periodic cell vectors span no volume: {cell.tolist()}"
    if fault is None:
        height = float((1 / np.linalg.norm(np.linalg.inv(_complete(cell, pbc)), axis=0))[pbc].min())
        if height < THINNEST:
            return f"the cell is {height:.3g} Å thin; expected at least {THINNEST} Å, so its unit may not be Å"
    return fault


def _backbone_fault(entry: Entry) -> str | None:
    if entry.backbone is None:
        return None
    expected = (len(entry.sequence or ""), 4, 3)
    if entry.backbone.shape != expected:
        return f"a backbone of shape {entry.backbone.shape} does not fit its sequence, expected {expected}"
    return _coordinates_fault("backbone of residue", entry.backbone)
