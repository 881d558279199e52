"""AntiBERTy and Sapiens: the encoder's rows are the embeddings that the packages give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "antibody")
SAPIENS = json.loads(Path(__file__).with_name("sapiens.json").read_text())
CHAINS = [found["sequence"] for found in SAPIENS.values()]


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The chains differ in length, so that the shorter one is padded."""
    sequences = {"antiberty": CHAINS} | {
        model_id: [found["sequence"], found["sequence"][:9]] for model_id, found in SAPIENS.items()
    }
    return run_inside(FAMILY, "inside_antibody.py", {"sequences": sequences})


def test_antibertys_rows_are_the_packages_own(inside: dict[str, Any]) -> None:
    ours = [*inside["rows"]["antiberty"], *inside["unknown"]]
    for found, expected in zip(ours, inside["antiberty"], strict=True):
        assert np.shape(found)[1] == 512
        assert np.abs(np.subtract(found, expected)).max() < 1e-5


@pytest.mark.parametrize("model_id", SAPIENS)
def test_sapienss_rows_are_those_of_the_package_with_fairseq(
    inside: dict[str, Any], model_id: str
) -> None:
    """The light chain ends with X, which is a masked residue."""
    recorded = SAPIENS[model_id]
    found = np.array(inside["rows"][model_id][0])
    assert found.shape == (len(recorded["sequence"]), 128)
    assert np.abs(found.mean(axis=0) - recorded["mean"]).max() < 1e-5
    for row, expected in recorded["rows"].items():
        assert np.abs(found[int(row)] - expected).max() < 1e-5


def test_models_of_heavy_and_light_chains_differ(inside: dict[str, Any]) -> None:
    heavy, light = (np.array(inside["rows"][model_id][1][0]) for model_id in SAPIENS)
    assert np.abs(heavy - light).max() > 0.1


def test_what_no_position_or_token_stands_for_is_not_applicable(inside: dict[str, Any]) -> None:
    long = [f"{n + 1} residues; the model has positions for {n}" for n in (510, 142, 126)]
    unknown = "NotApplicable: the sequence has letters that have no token: * B U"
    assert inside["refused"] == [
        *(f"NotApplicable: {fault}" for fault in long),
        *[unknown] * 3,
    ]


class TestFamily(FamilySuite):
    family = "antibody"
    models = ("antiberty", "sapiens-heavy")
