"""Text models: the exact prompts, and the vectors that sentence-transformers gives for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zoo.cards.loading import load_family
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite

FAMILY = load_family(FAMILIES / "text")
MODELS = {model.id: model for model in FAMILY.models}
SALT_LISTING = (
    "cell 0.00 2.82 2.82 2.82 0.00 2.82 2.82 2.82 0.00\nNa 0.00 0.00 0.00\nCl 0.00 2.81 -2.82"
)


@pytest.fixture(scope="module")
def inside(run_inside: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_inside(FAMILY, "inside_text.py", {})


def test_formula_prompts_are_hill_formulas_of_all_atoms(inside: dict[str, Any]) -> None:
    assert inside["prompts"]["minilm-formula"] == ["ClNa", "C2H6O"]


def test_smiles_prompts_are_canonical(inside: dict[str, Any]) -> None:
    assert inside["prompts"]["minilm-smiles"] == ["CCO"]


def test_atoms_prompts_list_the_cell_and_each_atom(inside: dict[str, Any]) -> None:
    crystal, molecule = inside["prompts"]["minilm-atoms"]
    assert crystal == SALT_LISTING
    assert molecule.splitlines()[:2] == ["O 0.00 0.12 0.25", "C 0.38 0.50 0.62"]
    assert len(molecule.splitlines()) == 9


def test_vectors_are_those_of_sentence_transformers(inside: dict[str, Any]) -> None:
    difference = np.subtract(inside["compare"]["together"], inside["compare"]["official"])
    assert np.linalg.norm(difference, axis=1).max() < 1e-5


def test_padding_does_not_count(inside: dict[str, Any]) -> None:
    difference = np.subtract(inside["compare"]["together"], inside["compare"]["alone"])
    assert len(set(inside["compare"]["tokens"])) == 4
    assert np.linalg.norm(difference, axis=1).max() < MODELS["minilm-smiles"].tolerance.batch


def test_vectors_have_length_one(inside: dict[str, Any]) -> None:
    assert np.linalg.norm(inside["compare"]["together"], axis=1) == pytest.approx(1, abs=1e-6)


def test_the_twin_is_drawn_from_its_seed(inside: dict[str, Any]) -> None:
    twins = inside["twins"]
    assert twins["twin"] == twins["twin again"]
    assert np.linalg.norm(np.subtract(twins["twin"], twins["trained"])) > 0.1
    assert np.linalg.norm(np.subtract(twins["twin"], twins["other twin"])) > 0.1


def test_a_listing_is_cut_after_256_word_pieces(inside: dict[str, Any]) -> None:
    """The card says that the rest is not read."""
    cut = inside["cut"]
    assert cut["tokens of 2,000 atoms"] == MODELS["minilm-atoms"].options["max_tokens"] == 256
    assert np.linalg.norm(np.subtract(*cut["18 atoms"])) > 1e-3
    assert cut["30 atoms"][0] == cut["30 atoms"][1]


def test_what_rdkit_cannot_read_fails_with_the_reason(inside: dict[str, Any]) -> None:
    faults = inside["faults"]
    assert (
        "Explicit valence for atom # 0 C, 5, is greater than permitted" in faults["C(C)(C)(C)(C)C"]
    )
    assert (
        faults["c1ccccc"]
        == "ValueError: RDKit cannot read the SMILES 'c1ccccc': its syntax is wrong"
    )
    assert faults[""] == "ValueError: the SMILES '' has no atoms"


def test_what_the_tokenizer_cannot_read_is_not_applicable(inside: dict[str, Any]) -> None:
    expected = (
        "NotApplicable: the tokeniser cannot read all of it (words of over 100 letters): 'CCCCCC"
    )
    assert inside["faults"]["C" * 101].startswith(expected)


class TestFamily(FamilySuite):
    family = "text"
    models = ("minilm-formula",)
