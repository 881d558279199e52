"""ADMET-AI: what its last layers read out of our vectors is what the package publishes of drugs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "admet-ai")
TASKS = {"admet-ai-classification": 31, "admet-ai-regression": 10}
# The last two are one molecule, and the one before is its mirror image.
SMILES = ["CCO", "[Ar]", "CC(=O)[O-].[Na+]", "C[C@@H](N)C(=O)O", "C[C@H](N)C(=O)O"]
SMILES += ["OC(=O)[C@@H](N)C"]


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_inside(FAMILY, "inside_admet.py", {"smiles": SMILES})


@pytest.mark.parametrize("model_id", TASKS)
def test_predictions_from_our_vectors_are_those_that_the_package_carries(
    inside: dict[str, Any], model_id: str
) -> None:
    ours, theirs = inside[model_id]["ours"], inside[model_id]["theirs"]
    assert len(ours) == 20
    for mine, published in zip(ours, theirs, strict=True):
        assert len(mine) == TASKS[model_id]
        assert mine == pytest.approx(published, rel=1e-4, abs=1e-5)


def test_a_molecule_has_one_vector_and_its_mirror_image_another(inside: dict[str, Any]) -> None:
    assert inside["spellings"][-1] == inside["spellings"][-2]
    assert np.abs(np.subtract(*inside["spellings"][-3:-1])).max() > 1e-3


def test_twins_are_drawn_from_their_seed_and_tell_molecules_apart(inside: dict[str, Any]) -> None:
    first, second, again = map(np.array, inside["twins"])
    assert (first == again).all()
    for twin in (first, second):
        spread = np.linalg.norm(twin[:4] - twin[:4].mean(axis=0)) / np.linalg.norm(twin[:4])
        assert spread > 0.01
    assert np.linalg.norm(first - second) > 0.1 * np.linalg.norm(first)


def test_atoms_are_one_row_each(inside: dict[str, Any]) -> None:
    shapes = [np.shape(rows) for rows in inside["atoms"]]
    assert shapes[:3] == [(3, 1500), (1, 1500), (5, 1500)]


def test_what_rdkit_cannot_read_fails_with_the_smiles(inside: dict[str, Any]) -> None:
    assert inside["fault"].startswith("ValueError: RDKit cannot read the SMILES 'C1CC'")


class TestFamily(FamilySuite):
    family = "admet-ai"
