"""LigandMPNN: the encoder's rows are what the package's own program computes of a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.sample_systems import build_backbone
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "ligandmpnn")
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKV"


def folded(residues: int) -> np.ndarray:
    """Return a chain of strands and helices in turn, with the three decimals of a PDB file."""
    angles = np.random.default_rng(0).normal(0, 8, size=(residues, 2))
    shapes = [(-57.0, -47.0) if i // 8 % 2 else (-120.0, 130.0) for i in range(residues)]
    turned = [(phi + a, psi + b) for (phi, psi), (a, b) in zip(shapes, angles, strict=True)]
    return build_backbone(turned).round(3)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """One chain is longer than the 48 neighbors, the other one is shorter."""
    proteins = {str(n): [SEQUENCE[:n], folded(n).tolist()] for n in (len(SEQUENCE), 12)}
    return run_inside(FAMILY, "inside_ligandmpnn.py", {"proteins": proteins})


@pytest.mark.parametrize("model_id", [model.id for model in FAMILY.models])
def test_rows_are_those_of_the_packages_own_program(inside: dict[str, Any], model_id: str) -> None:
    """It passed on 2026-11-30 with ProDy 2.6.1, which is not in the lock: it needs a compiler."""
    for theirs, ours in inside[model_id].values():
        if theirs is None:
            pytest.skip("needs ProDy: uv pip install --python .envs/ligandmpnn prody==2.6.1")
        assert np.shape(ours)[1] == 128
        assert np.abs(np.subtract(theirs, ours)).max() < 1e-4


def test_models_differ(inside: dict[str, Any]) -> None:
    """No two checkpoints, nor two labels of one, give the same rows."""
    rows = [np.array(found["12"][1]) for found in inside.values()]
    assert min(np.abs(a - b).max() for i, a in enumerate(rows) for b in rows[:i]) > 0.01


class TestFamily(FamilySuite):
    family = "ligandmpnn"
    models = ("ligandmpnn",)
