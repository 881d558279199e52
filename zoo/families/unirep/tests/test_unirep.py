"""UniRep: the encoder's rows are the hidden states that the package gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "unirep")
MODELS = {model.id: model for model in FAMILY.models}
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVXUOZB"
every_model = pytest.mark.parametrize("model_id", MODELS)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    given = {"sequence": SEQUENCE, "prefixes": [1, len(SEQUENCE)]}
    return run_inside(FAMILY, "inside_unirep.py", given)


@every_model
def test_average_is_the_packages_own(inside: dict[str, Any], model_id: str) -> None:
    theirs, ours = map(np.array, inside["models"][model_id]["average"])
    assert ours.shape == (2, MODELS[model_id].options["units"])
    assert np.abs(theirs - ours).max() < 1e-5


@every_model
def test_a_residues_row_is_the_packages_last_state_of_the_prefix(
    inside: dict[str, Any], model_id: str
) -> None:
    theirs, ours = map(np.array, inside["models"][model_id]["last"])
    assert np.abs(theirs - ours).max() < 1e-5


@every_model
def test_twins_tell_proteins_apart(inside: dict[str, Any], model_id: str) -> None:
    """With the gains of the package's constructor the vectors would be nearly constant."""
    assert min(inside["models"][model_id]["spread of twins"]) > 0.01


def test_letters_without_a_token_are_not_applicable(inside: dict[str, Any]) -> None:
    expected = "NotApplicable: the sequence has letters that have no token: * -"
    assert inside["refused"] == expected


class TestFamily(FamilySuite):
    family = "unirep"
    models = ("unirep-64",)
