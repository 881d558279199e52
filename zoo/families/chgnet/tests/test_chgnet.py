"""CHGNet: the layer, the weights and the batches, against the package's own documented calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from query.metrics import cka
from zoo.cards.elements import parse_elements
from zoo.cards.loading import load_family
from zoo.cards.twins import twin_seed
from zoo.encoder import SYMBOLS
from zoo.places import FAMILIES

FAMILY = load_family(FAMILIES / "chgnet")
MODELS = {model.id: model for model in FAMILY.models}
ELEMENTS = SYMBOLS[:50]
ALIKE = ("chgnet-0.3.0", "chgnet-r2scan")  # of one architecture
SEEDS = range(1, 7)  # of networks to compare twins with
every_model = pytest.mark.parametrize("model_id", MODELS)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    draws = [(model_id, twin_seed(model_id)) for model_id in ALIKE] + [
        (ALIKE[0], seed) for seed in SEEDS
    ]
    return run_inside(FAMILY, "inside_chgnet.py", {"elements": ELEMENTS, "draws": draws})


@every_model
def test_weights_are_those_that_the_package_loads_by_name(
    inside: dict[str, Any], model_id: str
) -> None:
    assert inside["package"][model_id]["same weights"]
    assert inside["package"][model_id]["parameters"] == MODELS[model_id].compute.parameters


@every_model
def test_rows_sum_to_the_crystal_feature(inside: dict[str, Any], model_id: str) -> None:
    assert inside["package"][model_id]["sum over atoms"] < 1e-4


@every_model
def test_readout_of_the_rows_is_the_energy(inside: dict[str, Any], model_id: str) -> None:
    found = inside["package"][model_id]
    assert found["energy from rows"] == pytest.approx(found["energy"], abs=1e-5)  # eV/atom


@every_model
def test_energies_are_the_package_s_own(inside: dict[str, Any], model_id: str) -> None:
    found = inside["package"][model_id]
    assert found["energies"] == pytest.approx(found["package's energies"], rel=1e-5)  # eV


@every_model
def test_batch_does_not_change_a_graph_without_angles(
    inside: dict[str, Any], model_id: str
) -> None:
    assert inside["lone bond"][model_id]["ours"] < MODELS[model_id].tolerance.batch


def test_in_the_plain_package_it_would(inside: dict[str, Any]) -> None:
    """If this fails, the package has changed, and the encoder need no longer part the batch."""
    assert inside["lone bond"]["chgnet-0.2.0"]["package"] > 1e-3


@pytest.mark.parametrize(
    "variant", ["turned and moved", "supercell", "molecule in a box of 40 Å", "slab"]
)
def test_one_structure_written_in_two_ways(inside: dict[str, Any], variant: str) -> None:
    assert inside["geometry"][variant] < (MODELS["chgnet-0.3.0"].tolerance.rotation or 0)


def test_twin_is_fixed_by_its_seed_and_tells_systems_apart(inside: dict[str, Any]) -> None:
    assert inside["twins"]["again"] == 0
    assert inside["twins"]["other seed"] > 0.1
    assert inside["twins"]["trained"] > 0.1
    assert (
        inside["twins"]["rank"] > 0.01
    )  # third singular value: four systems span three dimensions


def test_twins_of_one_architecture_are_as_alike_as_any_two_random_networks(
    inside: dict[str, Any],
) -> None:
    first, second, *others = map(np.array, inside["drawn"])
    assert first.shape == second.shape == (len(ELEMENTS), 64)
    assert not (first == second).all(axis=1).any()
    twins = cka(first, second)
    chance = [cka(a, b) for a, b in itertools.combinations(others, 2)]
    assert min(chance) - np.ptp(chance) < twins < max(chance) + np.ptp(chance) < 1


@every_model
def test_card_leaves_out_the_elements_that_were_never_trained(
    inside: dict[str, Any], model_id: str
) -> None:
    ytterbium = 70  # trained in 0.3.0, absent from the data of the fine-tuning
    known = set(parse_elements(MODELS[model_id].elements or ""))
    assert set(inside["never trained"]) - {ytterbium} == set(range(1, 95)) - known


def test_a_single_atom_has_a_vector(inside: dict[str, Any]) -> None:
    assert inside["single atom"] > 0.1


def test_faults_are_named(inside: dict[str, Any]) -> None:
    assert inside["float64"].startswith("ValueError: dtype 'float64'")
    assert inside["no volume"].startswith("ValueError: the structure is periodic, but its cell")
