"""AIMNet2: rows and energies are those of the published files, called as their authors say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase.build import molecule

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "aimnet2")
MOLECULES = [molecule(name) for name in ("CH3CH2OH", "C6H6", "H", "SiH4")]
# Ammonium in the shape of silane, its bonds scaled to 1.02 Å.
AMMONIUM = [7, 1, 1, 1, 1], (MOLECULES[-1].positions * 1.02 / 1.48).tolist()


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    molecules = [(atoms.numbers.tolist(), atoms.positions.tolist()) for atoms in MOLECULES]
    return run_inside(FAMILY, "inside_aimnet2.py", {"molecules": [*molecules, AMMONIUM]})


def test_rows_are_what_the_file_of_one_network_calls_aim(inside: dict[str, Any]) -> None:
    for ours, theirs in zip(*inside["aim"], strict=True):
        assert np.shape(ours)[1] == 256
        assert np.abs(np.subtract(ours, theirs)).max() < 1e-4 * np.abs(theirs).max()


def test_the_first_layer_is_the_embedding_of_the_elements(inside: dict[str, Any]) -> None:
    ours, theirs = map(np.array, inside["embedded"])
    assert ours.shape == (9, 256) and (ours == theirs).all()
    assert len(np.unique(ours, axis=0)) == 3  # H, C, O


def test_the_mean_energy_is_that_of_the_published_ensemble(inside: dict[str, Any]) -> None:
    """The four networks differ by more than the bound, so none of them alone would pass."""
    energies = np.array(inside["energies"])
    assert energies.mean(axis=0) == pytest.approx(inside["ensemble"], abs=1e-3)  # eV
    assert np.ptp(energies, axis=0)[0] > 2e-3


def test_the_charge_decides_the_vector(inside: dict[str, Any]) -> None:
    charged, neutral = map(np.array, inside["charged"])
    assert np.abs(charged - neutral).max() > 0.01 * np.abs(neutral).max()


def test_twins_are_drawn_from_their_seed_and_tell_molecules_apart(inside: dict[str, Any]) -> None:
    first, second, again = (np.array([np.mean(r, axis=0) for r in t]) for t in inside["twins"])
    assert (first == again).all()
    for twin in (first, second):
        assert np.linalg.norm(twin - twin.mean(axis=0)) > 0.01 * np.linalg.norm(twin)
    assert np.linalg.norm(first - second) > 0.1 * np.linalg.norm(first)


def test_a_crystal_is_not_applicable(inside: dict[str, Any]) -> None:
    expected = "NotApplicable: the model reads molecules; it knows no periodicity"
    assert inside["periodic"] == expected


class TestFamily(FamilySuite):
    family = "aimnet2"
    models = ("aimnet2-wb97m-d3-0",)
