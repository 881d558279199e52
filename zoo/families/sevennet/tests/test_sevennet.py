"""SevenNet: the layers, the weights and the elements, against the package's own calculator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.zoo.families.suite import PotentialSuite
from zoo.cards.elements import parse_elements
from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "sevennet")
MODELS = {model.id: model for model in FAMILY.models if model.bundled}
every_model = pytest.mark.parametrize("model_id", MODELS)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_inside(FAMILY, "inside_sevennet.py", {})


class TestPotential(PotentialSuite):
    models = MODELS
    reference = "sevennet-0"


@every_model
def test_elements_are_those_of_the_type_map(inside: dict[str, Any], model_id: str) -> None:
    assert inside["package"][model_id]["elements"] == parse_elements(
        MODELS[model_id].elements or ""
    )


@every_model
@pytest.mark.parametrize("representation", ["last_hidden", "equivariant"])
def test_rest_of_the_network_makes_the_energy_of_the_rows(
    inside: dict[str, Any], model_id: str, representation: str
) -> None:
    found = inside["package"][model_id]
    assert found[representation] == pytest.approx(found["energy"], abs=1e-5)  # eV/atom


def test_batch_changes_nothing(inside: dict[str, Any]) -> None:
    assert inside["in a batch"] < MODELS["sevennet-0"].tolerance.batch


def test_equivariant_channels_rotate_with_the_structure_and_scalars_do_not(
    inside: dict[str, Any],
) -> None:
    assert inside["channels"]["scalars, rotated"] < (MODELS["sevennet-0"].tolerance.rotation or 0)
    assert inside["channels"]["vectors, rotated"] > 0.1


def test_twin_keeps_only_fixed_statistics(inside: dict[str, Any]) -> None:
    denominators = [f"{layer}_convolution.denominator" for layer in range(5)]
    expected = {*denominators, "rescale_atomic_energy.shift", "rescale_atomic_energy.scale"}
    assert set(inside["kept"]) == expected


def test_tasks_of_one_network_differ(inside: dict[str, Any]) -> None:
    assert inside["tasks"] > 1e-3


class TestFamily(FamilySuite):
    family = "sevennet"
    models = ("sevennet-0",)
