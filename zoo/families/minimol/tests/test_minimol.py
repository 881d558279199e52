"""MiniMol: the encoder's vectors are the fingerprints of the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "minimol")
# The last two are one molecule.
SMILES = ["CCO", "[Ar]", "CC(=O)[O-].[Na+]", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "NCC(O)C", "CC(CN)O"]


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_inside(FAMILY, "inside_minimol.py", {"smiles": SMILES})


def test_vectors_are_the_packages_fingerprints(inside: dict[str, Any]) -> None:
    theirs, ours = np.array(inside["theirs"]), np.array(inside["ours"])
    assert ours.shape == (len(SMILES), 512)
    assert np.abs(theirs - ours).max() < 1e-5


def test_one_molecule_has_one_vector_however_it_is_written(inside: dict[str, Any]) -> None:
    assert inside["ours"][-1] == inside["ours"][-2]


def test_twins_tell_molecules_apart_and_differ(inside: dict[str, Any]) -> None:
    first, second = map(np.array, inside["twins"])
    for twin in (first, second):
        spread = np.linalg.norm(twin[:4] - twin[:4].mean(axis=0)) / np.linalg.norm(twin[:4])
        assert spread > 0.01
    assert np.abs(first - second).max() > 0.1


def test_what_rdkit_cannot_read_fails_with_the_smiles(inside: dict[str, Any]) -> None:
    message = "ValueError: RDKit finds no molecule in the SMILES"
    assert inside["faults"] == [f"{message} ''", f"{message} 'C1CC'"]


class TestFamily(FamilySuite):
    family = "minimol"
    models = ("minimol",)
