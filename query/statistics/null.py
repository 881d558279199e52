"""What a value would be by chance: permutation null, p-value and calibrated score.

Reference: Gröger, Wen, Brbić, "Revisiting the Platonic Representation Hypothesis: An Aristotelian
View", 2026 (arXiv 2602.14486), algorithm 1. Tested against their package `calibrated-similarity`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

ALPHA = 0.05  # the level of the calibrated score, which is that of the reference
ALIKE = 1e-10  # values that differ by less, relative to the largest, are equal but for rounding


@dataclass(frozen=True, slots=True)
class Null:
    """A value compared with B values of the same vectors, wrongly paired.

    Attributes:
        mean: The mean of the B values.
        std: Their standard deviation, with B − 1 in the denominator; None for B = 1.
        p_value: (1 + the number of them at least as close as the value) / (1 + B).
        calibrated: 0 for what chance gives, 1 for the same geometry; above 1 where the value is.
    """

    mean: float
    std: float | None
    p_value: float
    calibrated: float


def permutations(n: int, count: int, seed: int) -> Tensor:
    """Return random orders of the systems, always the same for a seed.

    Args:
        n: The number of systems.
        count: The number of orders.
        seed: The seed.

    Returns:
        The orders, (count, n) int64.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n, generator=generator) for _ in range(count)])


def null_of_best(nulls: Sequence[Tensor], *, lower_is_closer: bool = False) -> Tensor:
    """Return the null of the best of several values: of each shuffled pairing, its best value.

    Who looks at many values and takes the best has to compare it with the best that chance gives,
    or chance alone makes it stand out.

    Args:
        nulls: The values of the same shuffled pairings, for each of the values: (B,) float64 each,
            at least one.
        lower_is_closer: Whether the lowest is the best.

    Returns:
        The best of each pairing, (B,) float64.
    """
    together = torch.stack(list(nulls))
    return together.amin(dim=0) if lower_is_closer else together.amax(dim=0)


def widened(null: Tensor, spread: float) -> Tensor:
    """Return a null whose values lie further from their mean.

    Args:
        null: The values, (B,) float64.
        spread: How many times as far.
    """
    return null if spread == 1 else null.mean() + spread * (null - null.mean())


def compare_with_null(value: float, null: Tensor, *, lower_is_closer: bool = False) -> Null:
    """Compare a value with its null.

    τ is the ⌈(1 − α)(B + 1)⌉-th smallest of the null and the value together, α = 0.05, as in the
    authors' code. So with fewer than 19 permutations no value can rise above τ, and the calibrated
    score is 0; else it is max(0, value − τ) / (1 − τ). If lower is closer, 0 being the same, τ is
    the ⌈…⌉-th largest and the score is max(0, τ − value) / τ.

    Args:
        value: The value.
        null: The values of shuffled pairings, (B,) float64.
        lower_is_closer: Whether 0 means the same, rather than 1.

    Returns:
        The comparison.
    """
    count = null.numel()
    values = null.numpy()  # torch takes a hundred times as long to sort so few
    ordered = np.sort(np.append(values, value))
    place = math.ceil((1 - ALPHA) * (count + 1))
    tau = float(ordered[-place if lower_is_closer else place - 1])
    # With few distinct vectors many pairings give the same value; sums in another order round it
    # differently.
    same = ALIKE * max(abs(value), float(np.abs(values).max()))
    as_close = values <= value + same if lower_is_closer else values >= value - same
    best = 0.0 if lower_is_closer else 1.0
    above = (value - tau) / (best - tau) if abs(best - tau) > 0 else 0.0
    return Null(
        mean=null.mean().item(),
        std=null.std().item() if count > 1 else None,
        p_value=(1 + int(as_close.sum())) / (1 + count),
        calibrated=max(0.0, above) if (best - tau) * (best - 0.5) > 0 else 0.0,
    )
