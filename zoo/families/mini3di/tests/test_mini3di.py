"""3Di: the encoder's letters are those that the package gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ingest.sources.shared.discovery import load_datasets
from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "mini3di")


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Twelve chains of the Protein Data Bank."""
    chains = list(load_datasets()["proteins"].entries())[:12]
    backbones = {chain.source_id: np.asarray(chain.backbone).tolist() for chain in chains}
    return run_inside(FAMILY, "inside_mini3di.py", {"backbones": backbones})


def test_letters_are_the_packages_own(inside: dict[str, Any]) -> None:
    """No two residues of these chains are equally near to a third one, so rounding decides none."""
    assert len(inside["letters"]) == 12
    for theirs, ours in inside["letters"].values():
        assert ours == theirs
    assert len(set("".join(theirs for theirs, _ in inside["letters"].values()))) == 20


def test_twins_tell_residues_apart(inside: dict[str, Any]) -> None:
    assert min(inside["spread of twins"]) > 0.01


def test_two_residues_without_a_neighbor_are_not_applicable(inside: dict[str, Any]) -> None:
    expected = "NotApplicable: 3 residues; a shape needs 4 residues at least"
    assert inside["refused"] == expected


class TestFamily(FamilySuite):
    family = "mini3di"
