"""SevenNet: the layers, the weights and the elements, against the package's own calculator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zoo.cards.elements import parse_elements
from zoo.cards.loading import load_family
from zoo.places import FAMILIES

FAMILY = load_family(FAMILIES / "sevennet")
MODELS = {model.id: model for model in FAMILY.models if model.bundled}
every_model = pytest.mark.parametrize("model_id", MODELS)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_inside(FAMILY, "inside_sevennet.py", {})


@every_model
def test_weights_are_those_that_the_package_loads_by_name(
    inside: dict[str, Any], model_id: str
) -> None:
    assert inside["package"][model_id]["same weights"]
    assert inside["package"][model_id]["parameters"] == MODELS[model_id].compute.parameters


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


@every_model
def test_energies_are_the_package_s_own(inside: dict[str, Any], model_id: str) -> None:
    found = inside["package"][model_id]
    assert found["energies"] == pytest.approx(found["package's energies"], rel=1e-5)  # eV


@pytest.mark.parametrize(
    "variant", ["turned and moved", "supercell", "molecule in a box of 40 Å", "slab"]
)
def test_one_structure_written_in_two_ways(inside: dict[str, Any], variant: str) -> None:
    assert inside["geometry"][variant] < (MODELS["sevennet-0"].tolerance.rotation or 0)


def test_batch_changes_nothing(inside: dict[str, Any]) -> None:
    assert inside["geometry"]["in a batch"] < MODELS["sevennet-0"].tolerance.batch


def test_equivariant_channels_turn_with_the_structure_and_scalars_do_not(
    inside: dict[str, Any],
) -> None:
    assert inside["geometry"]["scalars, turned"] < (MODELS["sevennet-0"].tolerance.rotation or 0)
    assert inside["geometry"]["vectors, turned"] > 0.1


def test_twin_is_fixed_by_its_seed_and_tells_systems_apart(inside: dict[str, Any]) -> None:
    assert inside["twins"]["again"] == 0
    assert inside["twins"]["other seed"] > 0.1
    assert inside["twins"]["trained"] > 0.1
    assert (
        inside["twins"]["rank"] > 0.01
    )  # third singular value over first: four systems span three dimensions


def test_twin_keeps_only_fixed_statistics(inside: dict[str, Any]) -> None:
    denominators = [f"{layer}_convolution.denominator" for layer in range(5)]
    expected = {*denominators, "rescale_atomic_energy.shift", "rescale_atomic_energy.scale"}
    assert set(inside["kept"]) == expected


def test_tasks_of_one_network_differ(inside: dict[str, Any]) -> None:
    assert inside["tasks"] > 1e-3


def test_a_single_atom_has_a_vector(inside: dict[str, Any]) -> None:
    assert inside["single atom"] > 0.1


def test_faults_are_named(inside: dict[str, Any]) -> None:
    assert inside["float64"].startswith("ValueError: dtype 'float64'")
    assert inside["no volume"].startswith("ValueError: the structure is periodic, but its cell")
