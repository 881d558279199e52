"""The composition's part of an energy, and what is left of it.

Energies of two sources differ first of all by what an atom of each element weighs in them:
pseudopotentials, corrections, reference states. So a linear model of the composition, E ≈ Σ_e c_e
n_e with n_e atoms of element e and no constant, is fitted by least squares to the labels and, apart
from that, to a model's predictions for the same systems; what remains of both is compared
(Edamadaka et al., arXiv 2512.03750, equations 1–4). Any zero of energy for each element then makes
no difference.

If the systems do not determine all c_e, the smallest solution is taken; the residuals are the same
for any. A system that the fit follows whatever its energy is, such as the only one with its
element, has no residual: its leverage, the diagonal of the hat matrix, is 1 (Hoaglin and Welsch,
Am. Stat. 32, 17 (1978)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ABSORBED = 1e-9  # how far below 1 a leverage still counts as 1
RESAMPLES = 999  # of the bootstrap
LEAST_SYSTEMS = 5  # from which a bootstrap starts
CHUNK = 10**6  # numbers drawn at once

Floats = NDArray[np.float64]


def count_elements(numbers: Sequence[Sequence[int]]) -> Floats:
    """Return the atoms of each element that occurs, (systems, elements).

    Args:
        numbers: The atomic numbers of each system.
    """
    rows = np.repeat(np.arange(len(numbers)), [len(atoms) for atoms in numbers])
    elements, columns = np.unique(
        np.array([z for atoms in numbers for z in atoms], dtype=int), return_inverse=True
    )
    counts = np.zeros((len(numbers), elements.size))
    np.add.at(counts, (rows, columns), 1)
    return counts


@dataclass(frozen=True)
class Composition:
    """What least squares on the composition can tell of some systems.

    Attributes:
        basis: Orthonormal columns that span all that a composition explains, (n, rank).
        n_elements: The number of elements that occur; the systems determine `rank` of their
            constants.
    """

    basis: Floats
    n_elements: int

    @classmethod
    def of(cls, counts: Floats) -> Composition:
        """Return what the composition of some systems tells.

        Args:
            counts: The atoms of each element, (n, elements); an element may occur in no system.
        """
        present = counts[:, counts.any(axis=0)]
        left, singular, _ = np.linalg.svd(present, full_matrices=False)
        negligible = singular.max(initial=0.0) * max(present.shape) * np.finfo(float).eps
        return cls(left[:, singular > negligible], present.shape[1])

    @property
    def rank(self) -> int:
        """How many of the elements' constants the systems determine."""
        return int(self.basis.shape[1])

    @property
    def leverage(self) -> Floats:
        """How much of its own energy the fit of a system follows, (n,), from 0 to 1."""
        found: Floats = np.square(self.basis).sum(axis=1)
        return found

    def residuals(self, energies: Floats) -> Floats:
        """Return what the fit leaves of energies, (n,), in their unit; NaN where it takes all.

        Args:
            energies: The energies, (n,), in any unit.
        """
        left: Floats = energies - self.basis @ (self.basis.T @ energies)
        return np.where(self.leverage > 1 - ABSORBED, np.nan, left)


def mean_interval(values: Floats) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by a bootstrap over systems (percentiles, seed 0).

    Args:
        values: The values, (n,).

    Returns:
        The ends; None for fewer than LEAST_SYSTEMS values.
    """
    if values.size < LEAST_SYSTEMS:
        return None
    generator = np.random.default_rng(0)
    size = max(1, CHUNK // values.size)
    means = [
        values[
            generator.integers(values.size, size=(min(size, RESAMPLES - start), values.size))
        ].mean(axis=1)
        for start in range(0, RESAMPLES, size)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
