"""Entries: one system each as its source gives it, checked and hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

QUANTUM = 1e-8  # Å; see content_hash
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


def content_hash(entry: Entry) -> str:
    """sha256 (hex) of what an entry holds, without its id and labels; the same on every platform.

    Each field that is not None adds its name, its shape and its bytes: integers and booleans as little-endian int64,
    text as UTF-8, coordinates as little-endian int64 counts of 1e-8 Å. That precision is what text formats keep (extxyz
    writes 8 decimals), so a system survives a round trip through a file, and -0.0 is 0.0.
    """
    digest = hashlib.sha256()
    for name in ("numbers", "positions", "cell", "pbc", "charge", "spin", "smiles", "sequence", "backbone"):
        value = getattr(entry, name)
        if value is not None:
            data = value.encode() if isinstance(value, str) else _as_integers(name, value).tobytes()
            shape = [len(data)] if isinstance(value, str) else list(np.shape(value))
            digest.update(json.dumps([name, shape]).encode() + data)
    return digest.hexdigest()


def _as_integers(name: str, value: Any) -> np.ndarray:
    if name in ("positions", "cell", "backbone"):
        value = np.rint(np.asarray(value, dtype=np.float64) / QUANTUM)
    return np.asarray(value).astype("<i8")


def checked(entry: Entry) -> Entry | Unreadable:
    """The entry with plain arrays, or why it cannot be embedded by anything.

    Without periodicity a cell means nothing, so both are dropped: a molecule in a box is the molecule.
    """
    try:
        entry = _with_arrays(entry)
    except (TypeError, ValueError, OverflowError) as error:
        return Unreadable(entry.source_id, f"not numbers of one shape: {error}")
    reason = _fault(entry)
    return Unreadable(entry.source_id, reason) if reason else entry


def _with_arrays(entry: Entry) -> Entry:
    kinds = {"numbers": np.int64, "positions": np.float64, "cell": np.float64, "pbc": np.bool_, "backbone": np.float64}
    given = {name: getattr(entry, name) for name in kinds}
    arrays: dict[str, Any] = {
        name: None if value is None else np.asarray(value, dtype=kinds[name]) for name, value in given.items()
    }
    if arrays["pbc"] is not None and not arrays["pbc"].any():
        arrays["pbc"] = arrays["cell"] = None
    return replace(entry, **arrays)


def _fault(entry: Entry) -> str | None:
    if entry.numbers is None and not (entry.smiles or entry.sequence):
        return "nothing to embed: neither atoms, nor a SMILES string, nor a sequence"
    return _atoms_fault(entry) or _cell_fault(entry) or _backbone_fault(entry)


def _atoms_fault(entry: Entry) -> str | None:
    numbers, positions = entry.numbers, entry.positions
    if numbers is None or positions is None:
        return None if numbers is positions else "atomic numbers and positions must come together; one is missing"
    if numbers.ndim != 1 or not len(numbers):
        return f"a structure without atoms (atomic numbers of shape {numbers.shape})"
    if positions.shape != (len(numbers), 3):
        return f"{len(numbers)} atomic numbers need positions of shape ({len(numbers)}, 3), got {positions.shape}"
    strange = numbers[(numbers < 1) | (numbers > 118)]
    if len(strange):
        return f"atomic number {strange[0]} is not between 1 and 118"
    return _coordinates_fault("position of atom", positions)


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
    return fault


def _backbone_fault(entry: Entry) -> str | None:
    if entry.backbone is None:
        return None
    expected = (len(entry.sequence or ""), 4, 3)
    if entry.backbone.shape != expected:
        return f"a backbone of shape {entry.backbone.shape} does not fit its sequence, expected {expected}"
    return _coordinates_fault("backbone of residue", entry.backbone)
