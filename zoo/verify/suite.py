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
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from zoo.cards.discovery import find_family
from zoo.cards.family import Selection
from zoo.cards.schema import Model
from zoo.places import environments
from zoo.verify.behavior import Examination, examine
from zoo.verify.golden import GOLDEN_FILE
from zoo.weights.local import find_weights, needed_files

# Names of checks, as `matterzoo check` prints them.
ORDER_CHECK = "batch, order and repeat"
ROTATION_CHECK = "rotation and translation"
GOLDEN_CHECK = "golden vectors"
LAYERS_CHECK = "layers"


class FamilySuite:
    """Tests that the models of a family behave as their cards say.

    Attributes:
        family: The name of the family.
        models: The ids of the models to test; None for those that need no download.
    """

    family: str
    models: Sequence[str] | None = None

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Repeat each test of the class for every model, and for every check that it promises.

        Args:
            metafunc: pytest's description of the test.
        """
        models = {model.id: model for model in find_family(self.family).models}
        bundled = [model.id for model in models.values() if model.bundled]
        chosen = bundled if self.models is None else self.models
        if "check" in metafunc.fixturenames:
            folder = find_family(self.family).path
            pairs = [(name, check) for name in chosen for check in _promised(models[name], folder)]
            metafunc.parametrize(("model_id", "check"), pairs)
        elif "model_id" in metafunc.fixturenames:
            metafunc.parametrize("model_id", chosen)

    def test_passes(self, model_id: str, check: str) -> None:
        """See that the model passes a check that its card promises.

        Args:
            model_id: The model.
            check: The name of the check, as `matterzoo check` prints it.

        Raises:
            SkipTest: Golden vectors need the published weights, which are not here.
        """
        found = _examine(self.family, model_id)
        if check == GOLDEN_CHECK and not found.real:
            raise unittest.SkipTest(f"needs the weights: matterzoo weights {model_id}")
        assert [fault for fault in found.faults if fault.startswith(f"{check}: ")] == []
        assert check in found.passed, f"was not made: {check}; faults: {found.faults}"

    def test_no_check_fails(self, model_id: str) -> None:
        """See that no check of the model fails, those of energies and of the twin included.

        Args:
            model_id: The model.
        """
        assert _examine(self.family, model_id).faults == []


def _promised(model: Model, folder: Path) -> list[str]:
    """Return the names of the checks that a card promises to pass."""
    invariant = any(r.channels == "invariant" for r in model.representation)
    positions = model.input not in ("smiles", "selfies", "sequence", "text")
    rotation = positions and invariant and model.tolerance.at(model.dtype).rotation is not None
    golden = folder / GOLDEN_FILE
    recorded = golden.exists() and model.id in pq.read_table(golden)["model_id"].to_pylist()
    return [
        ORDER_CHECK,
        *([LAYERS_CHECK] if model.layers is not None else []),
        *([ROTATION_CHECK] if rotation else []),
        *([GOLDEN_CHECK] if recorded else []),
    ]


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
