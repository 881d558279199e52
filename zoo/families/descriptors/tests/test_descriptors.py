"""Descriptors against known values, RDKit's older functions, and SOAP without compression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "descriptors")
MODELS = {model.id: model for model in FAMILY.models}
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
RunInside = Callable[..., dict[str, Any]]
SMILES = [ASPIRIN, "OC(=O)c1ccccc1OC(C)=O", "CCO", "[Na+].[Cl-].CCO", "F/C=C/F", "C" * 80]
FAULTY = ["C(C)(C)(C)(C)C", "c1ccccc", "not smiles", "", "C", "[Na+].[Cl-]"]


@pytest.fixture(scope="module")
def inside(run_inside: RunInside) -> dict[str, Any]:
    return run_inside(FAMILY, "inside_descriptors.py", {"smiles": SMILES, "faulty": FAULTY})


def distance(a: list[float], b: list[float]) -> float:
    """Return the distance of two vectors, relative to the length of the first."""
    return float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(a))


@pytest.mark.parametrize(
    "variant", ["rotated", "moved", "wrapped", "supercell", "permuted", "other elements"]
)
def test_soap_sees_geometry_alone(inside: dict[str, Any], variant: str) -> None:
    assert MODELS["soap"].tolerance.rotation
    assert (
        distance(inside["soap"]["as is"], inside["soap"][variant])
        < MODELS["soap"].tolerance.rotation
    )


def test_soap_tells_geometries_apart(inside: dict[str, Any]) -> None:
    assert distance(inside["soap"]["as is"], inside["soap"]["silicon"]) > 0.05


def test_soap_of_one_element_is_the_uncompressed_power_spectrum(inside: dict[str, Any]) -> None:
    assert distance(inside["soap"]["silicon, uncompressed"], inside["soap"]["silicon"]) < 1e-12


def test_soap_of_one_atom_is_spherical(inside: dict[str, Any]) -> None:
    """Of l = 0 … 6 only l = 0 remains, for each pair of the 8 radial functions."""
    spectrum = np.abs(inside["soap"]["one atom"])
    assert np.count_nonzero(spectrum > 1e-10 * spectrum.max()) == 8 * 9 // 2


def test_soap_takes_what_is_large_or_periodic_in_two_directions(inside: dict[str, Any]) -> None:
    assert inside["soap"]["2,000 atoms"] == [2000, 252]
    assert inside["soap"]["slab"] == [1, 252]


def test_soap_refuses_periodicity_without_a_cell(inside: dict[str, Any]) -> None:
    assert inside["soap"]["no cell"].startswith(
        "ValueError: periodic along [True, True, True], but its cell is [[0.0"
    )


@pytest.mark.parametrize(
    ("formula", "feature", "value"),
    [
        ("NaCl", "mean Number", 14),
        ("NaCl", "minimum Number", 11),
        ("NaCl", "maximum Number", 17),
        ("NaCl", "range Number", 6),
        ("NaCl", "avg_dev Number", 3),
        ("NaCl", "mean Electronegativity", (0.93 + 3.16) / 2),
        ("Al2O3", "mean Number", (2 * 13 + 3 * 8) / 5),
        ("Al2O3", "mode Number", 8),
        ("Al2O3", "mean AtomicWeight", (2 * 26.9815386 + 3 * 15.9994) / 5),
        ("Fe", "range MeltingT", 0),
    ],
)
def test_composition_has_the_known_values(
    inside: dict[str, Any], formula: str, feature: str, value: float
) -> None:
    assert inside["composition"][formula][feature] == pytest.approx(value, abs=1e-12)


def test_composition_knows_no_order_and_no_cell(inside: dict[str, Any]) -> None:
    assert inside["composition"]["NaCl"] == pytest.approx(
        inside["composition"]["Cl4Na4"], abs=1e-12
    )


def test_composition_refuses_exactly_the_elements_with_a_gap_in_the_tables(
    inside: dict[str, Any],
) -> None:
    known = MODELS["composition"].for_worker()["elements"]
    assert sorted(set(range(1, 119)) - set(known)) == inside["composition"]["gaps"]


@pytest.mark.parametrize("smiles", SMILES)
def test_morgan_is_that_of_the_older_functions(inside: dict[str, Any], smiles: str) -> None:
    with rdBase.BlockLogs():
        counts = AllChem.GetHashedMorganFingerprint(
            Chem.MolFromSmiles(smiles), 2, 2048
        ).GetNonzeroElements()
        bits = AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(smiles), 2, 2048)
    found = inside["morgan"][smiles]
    assert {i: n for i, n in enumerate(found["counts"]) if n} == counts
    assert np.flatnonzero(found["bits"]).tolist() == list(bits.GetOnBits())


@pytest.mark.parametrize("smiles", SMILES)
def test_rdkit_fingerprint_is_that_of_the_older_function(
    inside: dict[str, Any], smiles: str
) -> None:
    found = inside["rdkit-fingerprint"][smiles]
    assert np.flatnonzero(found["bits"]).tolist() == list(
        Chem.RDKFingerprint(Chem.MolFromSmiles(smiles)).GetOnBits()
    )
    assert np.flatnonzero(found["counts"]).tolist() == np.flatnonzero(found["bits"]).tolist()


@pytest.mark.parametrize("model_id", ["morgan", "rdkit-fingerprint"])
def test_fingerprints_do_not_depend_on_how_the_molecule_is_spelled(
    inside: dict[str, Any], model_id: str
) -> None:
    assert inside[model_id][ASPIRIN] == inside[model_id]["OC(=O)c1ccccc1OC(C)=O"]


@pytest.mark.parametrize("model_id", ["morgan", "rdkit-fingerprint"])
def test_what_rdkit_cannot_read_fails_with_the_reason(
    inside: dict[str, Any], model_id: str
) -> None:
    found = inside[model_id]
    assert (
        "Explicit valence for atom # 0 C, 5, is greater than permitted" in found["C(C)(C)(C)(C)C"]
    )
    assert (
        found["c1ccccc"]
        == "ValueError: RDKit cannot read the SMILES 'c1ccccc': its syntax is wrong"
    )
    assert found["not smiles"].startswith("ValueError: RDKit cannot read the SMILES 'not smiles'")
    assert found[""] == "ValueError: the SMILES '' has no atoms"


def test_a_molecule_without_bonds_has_no_path(inside: dict[str, Any]) -> None:
    assert (
        inside["rdkit-fingerprint"]["C"]
        == "NotApplicable: 'C' has 0 bonds; the shortest path has 1"
    )
    assert inside["rdkit-fingerprint"]["[Na+].[Cl-]"].startswith("NotApplicable: ")
    assert inside["morgan"]["C"] == "nothing"


class TestFamily(FamilySuite):
    family = "descriptors"
    models = ("composition",)
