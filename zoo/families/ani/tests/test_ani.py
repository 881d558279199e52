"""ANI: energies are those of the packages' own networks, and one linear map of the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase.build import molecule

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "ani")
MODELS = {model.id: model for model in FAMILY.models}
# Of these, H2 has no angle, and H no neighbor; the last two have elements of ANI-2xt only.
MOLECULES = [molecule(name) for name in ("CH3CH2OH", "C6H6", "H2", "H", "CH3CN", "CH3SH", "CH3Cl")]


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    molecules = [(atoms.numbers.tolist(), atoms.positions.tolist()) for atoms in MOLECULES]
    return run_inside(FAMILY, "inside_ani.py", {"molecules": molecules})


@pytest.mark.parametrize("model_id", MODELS)
def test_energies_are_the_package_s_own(inside: dict[str, Any], model_id: str) -> None:
    ours, theirs, _ = inside["energies"][model_id]
    assert len(ours) == (7 if model_id == "ani-2xt" else 5)
    assert ours == pytest.approx(theirs, abs=1e-3)  # eV


@pytest.mark.parametrize("model_id", MODELS)
def test_one_linear_map_of_the_rows_gives_the_energy(inside: dict[str, Any], model_id: str) -> None:
    ours, _, read_out = inside["energies"][model_id]
    assert ours == pytest.approx(read_out, abs=2e-3)  # eV
    dimension = MODELS[model_id].representation[0].dimension
    assert inside["shapes"][model_id][0] == [9, dimension]


@pytest.mark.parametrize("model_id", MODELS)
def test_a_layer_makes_the_next_one(inside: dict[str, Any], model_id: str) -> None:
    ours, theirs = inside["layers"][model_id]
    for found, expected in zip(ours, theirs, strict=True):
        assert np.abs(expected).max() > 0.01
        assert found == pytest.approx(expected, abs=1e-5)


def test_twins_are_drawn_from_their_seed_and_tell_molecules_apart(inside: dict[str, Any]) -> None:
    first, second, again = map(np.array, inside["twins"])
    assert (first == again).all()
    for twin in (first, second):
        assert np.linalg.norm(twin - twin.mean(axis=0)) > 0.01 * np.linalg.norm(twin)
    assert np.linalg.norm(first - second) > 0.1 * np.linalg.norm(first)


def test_a_crystal_is_not_applicable(inside: dict[str, Any]) -> None:
    expected = "NotApplicable: the model reads molecules; it knows no periodicity"
    assert inside["periodic"] == expected


class TestFamily(FamilySuite):
    family = "ani"
    models = ("ani-2xt",)
