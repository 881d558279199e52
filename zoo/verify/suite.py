"""Tests that every family can have: a class for pytest, which a family's own tests inherit.

    from zoo.verify.suite import FamilySuite

    class TestToy(FamilySuite):
        family = "toy"

The tests make the checks of `matterzoo check MODEL` in the family's environment. They are skipped
if there is no environment.
"""

from __future__ import annotations

import functools
import unittest
from collections.abc import Sequence
from typing import Any

from zoo.cards.discovery import find_family
from zoo.cards.family import Selection
from zoo.places import environments
from zoo.verify.behavior import Examination, examine
from zoo.verify.golden import GOLDEN_FILE
from zoo.weights.local import find_weights, needed_files


class FamilySuite:
    """Tests that the models of a family behave as their cards say.

    Attributes:
        family: The name of the family.
        models: The ids of the models to test; None for those that need no download.
    """

    family: str
    models: Sequence[str] | None = None

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Repeat each test of the class for every model.

        Args:
            metafunc: pytest's description of the test.
        """
        if "model_id" in metafunc.fixturenames:
            bundled = [model.id for model in find_family(self.family).models if model.bundled]
            metafunc.parametrize("model_id", bundled if self.models is None else self.models)

    def test_batch_and_order_change_nothing(self, model_id: str) -> None:
        """Compare the vectors of one batch with those of single systems in reverse order.

        Args:
            model_id: The model.
        """
        _expect(_examine(self.family, model_id), "batch, order and repeat")

    def test_rotation_changes_nothing(self, model_id: str) -> None:
        """Compare invariant vectors of systems with those of their rotated copies.

        Args:
            model_id: The model.

        Raises:
            SkipTest: The card promises no such thing, or no sample system of the model has
                positions.
        """
        found = _examine(self.family, model_id)
        if not _is_rotated(found):
            raise unittest.SkipTest(f"{model_id} promises nothing about rotated systems")
        _expect(found, "rotation and translation")

    def test_golden_vectors(self, model_id: str) -> None:
        """Compare the vectors with those in the family's golden.parquet.

        Args:
            model_id: The model.

        Raises:
            SkipTest: The family has no such file, or the model's weights are not here.
        """
        found = _examine(self.family, model_id)
        if not found.real or not (found.family.path / GOLDEN_FILE).exists():
            raise unittest.SkipTest(f"no golden vectors, or no weights of {model_id} are here")
        _expect(found, "golden vectors")

    def test_no_check_fails(self, model_id: str) -> None:
        """See that no check of the model fails, those of energies and of the twin included.

        Args:
            model_id: The model.
        """
        assert _examine(self.family, model_id).faults == []


def _expect(found: Examination, check: str) -> None:
    assert [fault for fault in found.faults if fault.startswith(f"{check}: ")] == []
    assert check in found.passed, f"was not made: {check}; faults: {found.faults}"


def _is_rotated(found: Examination) -> bool:
    invariant = any(r.channels == "invariant" for r in found.model.representation)
    positions = found.model.input not in ("smiles", "selfies", "sequence", "text")
    return positions and invariant and found.model.tolerance.rotation is not None


@functools.cache
def _examine(family_name: str, model_id: str) -> Examination:
    """Examine a model, once for all of its tests."""
    family = find_family(family_name)
    python = environments() / family.name / "bin" / "python"
    if not python.exists():
        raise unittest.SkipTest(f"needs the family's environment: matterzoo env {family.name}")
    model = next(model for model in family.models if model.id == model_id)
    selection = Selection(family=family, model=model, untrained=False)
    dummy = (family.path / "dummy_checkpoint.py").exists()
    if needed_files(selection) and find_weights(selection) is None and not dummy:
        raise unittest.SkipTest(f"needs the weights: matterzoo weights {model_id}")
    return examine(selection, python)
