"""Which systems never reach the encoder: beyond the card's limits, or broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.encoder import SYMBOLS, System

# The fields of a system that a model of each kind of input cannot do without.
REQUIRED_FIELDS = {
    "structure": ("numbers", "positions"),
    "smiles": ("smiles",),
    "selfies": ("smiles",),  # the encoder translates
    "sequence": ("sequence",),
    "backbone": ("backbone",),
}


def reason_to_skip(system: System, model: Mapping[str, Any]) -> tuple[str, str] | None:
    """Say why a system is not given to the encoder.

    Args:
        system: The system.
        model: The model's card as plain data.

    Returns:
        The status ('not_applicable' or 'failed') and the reason that are stored; None if the
        encoder may have the system.
    """
    for name in REQUIRED_FIELDS.get(model["input"], ()):
        value = getattr(system, name)
        if value is None or len(value) == 0:
            return "not_applicable", f"has no {name}, and the model's input is {model['input']}"
    if system.numbers is None:
        return None
    if model["elements"] is not None:
        unknown = sorted(set(system.numbers.tolist()) - set(model["elements"]))
        if unknown:
            return "not_applicable", f"the model does not know {', '.join(map(_symbol, unknown))}"
    n_atoms = len(system.numbers)
    if model["max_atoms"] is not None and n_atoms > model["max_atoms"]:
        return "not_applicable", f"{n_atoms} atoms; the model takes at most {model['max_atoms']}"
    fault = _find_fault(system, n_atoms)
    if fault is None and model.get("needs_lattice_vectors"):
        fault = _find_flat_cell(system)
    return None if fault is None else ("failed", fault)


def rough_size(system: System) -> int:
    """Return a size that is known before a system is prepared.

    Systems of like size share a batch.

    Args:
        system: The system.

    Returns:
        Its atoms, residues or letters, whatever it has first; 0 if it has none.
    """
    for value in (system.numbers, system.sequence, system.backbone, system.smiles):
        if value is not None:
            return len(value)
    return 0


def describe_size(system: System) -> str:
    """Return the size of a system in words, such as '5,324 atoms'.

    Args:
        system: The system.
    """
    if system.numbers is not None:
        unit = "atoms"
    else:
        unit = "residues" if system.sequence or system.smiles is None else "letters"
    return f"{rough_size(system):,} {unit}"


def _find_fault(system: System, n_atoms: int) -> str | None:
    """Return why no model could read the structure."""
    if system.positions is not None and len(system.positions) != n_atoms:
        return f"{n_atoms} atomic numbers but {len(system.positions)} positions"
    for name in ("positions", "cell"):
        value = getattr(system, name)
        if value is not None and not np.isfinite(value).all():
            return f"{name} has {np.count_nonzero(~np.isfinite(value))} numbers that are not finite"
    return None


def _find_flat_cell(system: System) -> str | None:
    """Return why a structure has no volume: it is periodic along a lattice vector of length 0."""
    cell = np.zeros((3, 3)) if system.cell is None else system.cell
    if system.pbc is None or not (system.pbc & ~cell.any(axis=1)).any():
        return None
    return f"the structure is periodic, but its cell {cell.tolist()} spans no volume"


def _symbol(number: int) -> str:
    return SYMBOLS[number - 1] if 0 < number <= len(SYMBOLS) else f"atomic number {number}"
