"""Where two computations of the same vectors or energies differ by more than is allowed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zoo.cards.schema import Model
from zoo.verify.embedding import Energies, Vectors


def relative_distance(expected: np.ndarray, found: np.ndarray) -> float:
    """Return the distance of two vectors, as a part of the expected one's norm.

    Args:
        expected: (d,) A vector.
        found: (d,) Another.
    """
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def compare_vectors(expected: Vectors, found: Vectors, tolerance: float) -> list[str]:
    """Compare vectors by the parts of their norms by which they differ.

    Args:
        expected: Vectors by system and representation.
        found: Vectors that should be the same.
        tolerance: The largest relative distance that is allowed.

    Returns:
        One line per vector that differs, or is there only once.
    """
    faults = [
        f"{' '.join(key)} is there only once" for key in sorted(expected.keys() ^ found.keys())
    ]
    for key in sorted(expected.keys() & found.keys()):
        distance = relative_distance(expected[key], found[key])
        if not distance <= tolerance:  # NaN, too
            faults.append(
                f"{' '.join(key)} differs by {distance:.2g} of its norm, {tolerance:g} is allowed"
            )
    return faults


def find_layer_faults(model: Model, vectors: Vectors) -> list[str]:
    """Compare the last layer of a model with its default representation.

    Args:
        model: The model, which names its layers.
        vectors: Vectors by system and representation, of one computation.

    Returns:
        One line per system of which they are not the same, bit by bit.
    """
    last = [each.name for each in model.representation if each.is_layer][-1]
    default = model.default_representation
    return [
        f"{system_id} {last} is not {default}"
        for system_id, name in sorted(vectors)
        if name == default
        and not np.array_equal(vectors[system_id, last], vectors[system_id, default])
    ]


def compare_energies(
    expected: Energies, found: Energies, atoms: Mapping[str, int], tolerance: float
) -> list[str]:
    """Compare energies by the parts of their sizes by which they differ.

    An energy counts as at least 1 eV per atom: one that happens to be near zero could never pass
    otherwise.

    Args:
        expected: Energies in eV by system.
        found: Energies that should be the same. Systems of one side alone are left out.
        atoms: The number of atoms by system.
        tolerance: The largest relative difference that is allowed.

    Returns:
        One line per energy that differs.
    """
    faults = []
    for key in sorted(expected.keys() & found.keys()):
        size = max(abs(expected[key]), float(atoms[key]))
        difference = abs(found[key] - expected[key]) / size
        if not difference <= tolerance:  # NaN, too
            faults.append(
                f"{key} differs by {difference:.2g} of its {size:.6g} eV, {tolerance:g} is allowed"
            )
    return faults
