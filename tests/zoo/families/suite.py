"""Tests that interatomic potentials share; a family's tests inherit them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from zoo.cards.schema import Model


class PotentialSuite:
    """Tests of what `potentials.common` and the family's script find out.

    A test file defines a fixture `inside` with what the script printed.

    Attributes:
        models: The cards of the models to test.
        reference: The id of the model that `potentials.common` looked at.
    """

    models: Mapping[str, Model]
    reference: str

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "model_id" in metafunc.fixturenames:
            metafunc.parametrize("model_id", self.models)

    def test_weights_are_those_that_the_package_loads_by_name(
        self, inside: dict[str, Any], model_id: str
    ) -> None:
        found = inside["package"][model_id]
        assert found["same weights"]
        assert found["parameters"] == self.models[model_id].compute.parameters

    def test_energies_are_the_package_s_own(self, inside: dict[str, Any], model_id: str) -> None:
        found = inside["package"][model_id]
        assert found["energies"] == pytest.approx(found["package's energies"], rel=1e-5)  # eV

    @pytest.mark.parametrize(
        "variant", ["rotated and moved", "supercell", "molecule in a box of 40 Å", "slab"]
    )
    def test_one_structure_written_in_two_ways(self, inside: dict[str, Any], variant: str) -> None:
        tolerance = self.models[self.reference].tolerance.rotation or 0
        assert inside["geometry"][variant] < tolerance

    def test_twin_is_fixed_by_its_seed_and_tells_systems_apart(
        self, inside: dict[str, Any]
    ) -> None:
        assert inside["twins"]["again"] == 0
        assert inside["twins"]["other seed"] > 0.1
        assert inside["twins"]["trained"] > 0.1
        assert inside["twins"]["rank"] > 0.01
        assert inside["twins"]["relative rank"] > 0.01

    def test_a_single_atom_has_a_vector(self, inside: dict[str, Any]) -> None:
        assert inside["single atom"] > 0.1

    def test_faults_are_named(self, inside: dict[str, Any]) -> None:
        assert inside["float64"].startswith("ValueError: dtype 'float64'")
        assert inside["no volume"].startswith("ValueError: the structure is periodic, but its cell")
