"""One molecule has one vector, however it is spelled; its mirror image, what the card says."""

from __future__ import annotations

import re

import numpy as np
import pytest
from rdkit import Chem

from zoo.cards.discovery import find_model
from zoo.verify.notation import SPELLED, find_notation_faults, spelled_systems

MODEL = find_model("rdkit-fingerprint").model
NAME = MODEL.representation[0].name


def read_as(isomeric: bool, canonical: bool = True) -> dict[tuple[str, str], np.ndarray]:
    """Return vectors that tell two texts apart, of what a reader makes of each molecule."""
    texts = {
        row["system_id"]: Chem.MolToSmiles(
            Chem.MolFromSmiles(row["smiles"]), isomericSmiles=isomeric, canonical=canonical
        )
        for row in spelled_systems().to_pylist()
    }
    known = sorted(set(texts.values()))
    return {(key, NAME): np.eye(len(known))[known.index(text)] for key, text in texts.items()}


def test_the_molecules_are_what_their_names_say() -> None:
    canonical = {name: Chem.CanonSmiles(smiles) for name, smiles in SPELLED.items()}
    assert canonical["ethanol"] == canonical["ethanol backwards"]
    assert canonical["L-alanine"] == canonical["L-alanine backwards"] != canonical["D-alanine"]
    l_alanine = Chem.MolFromSmiles(SPELLED["L-alanine"])
    assert Chem.FindMolChiralCenters(l_alanine) == [(1, "S")]


@pytest.mark.parametrize(
    ("isomeric", "canonical", "stereochemistry", "faults"),
    [
        (True, True, True, []),
        (False, True, False, []),
        (True, True, False, [r"L-alanine and of D-alanine differ, and the card says .* = false"]),
        (False, True, True, [r"L-alanine and of D-alanine are the same, and .* = true"]),
        (False, False, False, ["ethanol and of ethanol backwards differ", "L-alanine backwards"]),
    ],
)
def test_what_contradicts_the_card_is_found(
    isomeric: bool, canonical: bool, stereochemistry: bool, faults: list[str]
) -> None:
    model = MODEL.model_copy(update={"stereochemistry": stereochemistry})
    found = find_notation_faults(model, read_as(isomeric, canonical), 1e-6)
    assert len(found) == len(faults)
    for line, pattern in zip(found, faults, strict=True):
        assert re.search(pattern, line), line


def test_what_a_model_does_not_take_is_passed_over() -> None:
    assert find_notation_faults(MODEL, {}, 1e-6) == []
