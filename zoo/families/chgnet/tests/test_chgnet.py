"""CHGNet: the layer, the weights and the batches, against the package's own documented calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from query.metrics import cka
from tests.zoo.families.suite import PotentialSuite
from zoo.cards.elements import parse_elements
from zoo.cards.loading import load_family
from zoo.cards.twins import twin_seed
from zoo.encoder import SYMBOLS
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "chgnet")
MODELS = {model.id: model for model in FAMILY.models}
ELEMENTS = SYMBOLS[:50]
ALIKE = ("chgnet-0.3.0", "chgnet-r2scan")  # of one architecture
SEEDS = range(1, 7)  # of networks to compare twins with
every_model = pytest.mark.parametrize("model_id", MODELS)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    draws = [(model_id, twin_seed(model_id)) for model_id in ALIKE]
    draws += [(ALIKE[0], twin_seed(ALIKE[0])), (ALIKE[0], twin_seed(ALIKE[0], 2))]
    draws += [(ALIKE[0], seed) for seed in SEEDS]
    return run_inside(FAMILY, "inside_chgnet.py", {"elements": ELEMENTS, "draws": draws})


class TestPotential(PotentialSuite):
    models = MODELS
    reference = "chgnet-0.3.0"


@every_model
def test_rows_sum_to_the_crystal_feature(inside: dict[str, Any], model_id: str) -> None:
    assert inside["package"][model_id]["sum over atoms"] < 1e-4


@every_model
def test_rows_of_the_layer_before_the_last_are_the_atom_features(
    inside: dict[str, Any], model_id: str
) -> None:
    assert inside["package"][model_id]["before the last layer"] < 1e-5


@every_model
def test_readout_of_the_rows_is_the_energy(inside: dict[str, Any], model_id: str) -> None:
    found = inside["package"][model_id]
    assert found["energy from rows"] == pytest.approx(found["energy"], abs=1e-5)  # eV/atom


@every_model
def test_batch_does_not_change_a_graph_without_angles(
    inside: dict[str, Any], model_id: str
) -> None:
    assert inside["lone bond"][model_id]["ours"] < MODELS[model_id].tolerance.batch


def test_in_the_plain_package_it_would(inside: dict[str, Any]) -> None:
    """If this fails, the package has changed, and the encoder need not split the batch any more."""
    assert inside["lone bond"]["chgnet-0.2.0"]["package"] > 1e-3


def test_twins_of_one_architecture_are_as_alike_as_any_two_random_networks(
    inside: dict[str, Any],
) -> None:
    first, second, _, _, *others = map(np.array, inside["drawn"])
    assert first.shape == second.shape == (len(ELEMENTS), 64)
    assert not (first == second).all(axis=1).any()
    twins = cka(first, second)
    chance = [cka(a, b) for a, b in itertools.combinations(others, 2)]
    assert min(chance) - np.ptp(chance) < twins < max(chance) + np.ptp(chance) < 1


def test_a_twin_is_the_same_network_every_time_and_is_drawn_again_by_its_number(
    inside: dict[str, Any],
) -> None:
    first, _, again, drawn_again, *_ = map(np.array, inside["drawn"])
    np.testing.assert_array_equal(first, again)
    assert not (first == drawn_again).all(axis=1).any()


@every_model
def test_card_leaves_out_the_elements_that_were_never_trained(
    inside: dict[str, Any], model_id: str
) -> None:
    ytterbium = 70  # trained in 0.3.0, absent from the data of the fine-tuning
    known = set(parse_elements(MODELS[model_id].elements or ""))
    assert set(inside["never trained"]) - {ytterbium} == set(range(1, 95)) - known


class TestFamily(FamilySuite):
    family = "chgnet"
    models = ("chgnet-0.3.0",)
