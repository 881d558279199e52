"""The card's limits are enforced before the encoder."""

from __future__ import annotations

import numpy as np

from tests.zoo.worker.toy import (
    Toy,
    atoms,
    model_card,
    smiles_system,
)


def test_the_card_s_limits_are_enforced_before_the_encoder(toy: Toy) -> None:
    card = model_card(input="structure", elements=[1, 8], max_atoms=3)
    systems = [
        atoms("water", [1, 1, 8]),
        atoms("salt", [11, 17]),
        atoms("large", [1] * 4),
        smiles_system("smiles"),
        atoms("empty", []),
        {"system_id": "flat", "numbers": [1]},
        atoms("nan", [1], positions=[[0.0, float("nan"), float("inf")]]),
        atoms("cell", [1], cell=[[1.0, 0, 0], [0, 1, 0], [0, 0, float("nan")]]),
        atoms("odd", [1, 1], positions=[[0.0, 0.0, 0.0]]),
        atoms("dummy", [0]),
    ]
    toy.write(systems, card).run()
    assert toy.reasons() == {
        "water": ("ok", None),
        "salt": ("not_applicable", "the model does not know Na, Cl"),
        "large": ("not_applicable", "4 atoms; the model takes at most 3"),
        "smiles": ("not_applicable", "has no numbers, and the model's input is structure"),
        "empty": ("not_applicable", "has no numbers, and the model's input is structure"),
        "flat": ("not_applicable", "has no positions, and the model's input is structure"),
        "nan": ("failed", "positions has 2 numbers that are not finite"),
        "cell": ("failed", "cell has 1 numbers that are not finite"),
        "odd": ("failed", "2 atomic numbers but 1 positions"),
        "dummy": ("not_applicable", "the model does not know atomic number 0"),
    }
    assert toy.encoded() == ["water"]


def test_a_cell_without_volume_fails_where_the_card_says_so(toy: Toy) -> None:
    slab = np.diag([1.0, 1.0, 0.0]).tolist()
    systems = [
        atoms("molecule", [1]),
        atoms("open", [1], cell=slab, pbc=[True, True, False]),
        atoms("flat", [1], cell=slab, pbc=[True, True, True]),
        atoms("without", [1], pbc=[True, False, False]),
    ]
    expected = "the structure is periodic, but its cell {} spans no volume"
    toy.write(systems, model_card(needs_lattice_vectors=True)).run()
    assert toy.reasons() == {
        "molecule": ("ok", None),
        "open": ("ok", None),
        "flat": ("failed", expected.format(slab)),
        "without": ("failed", expected.format(np.zeros((3, 3)).tolist())),
    }


def test_a_cell_without_volume_is_left_to_other_encoders(toy: Toy) -> None:
    toy.write([atoms("flat", [1], pbc=[True, True, True])], model_card()).run()
    assert toy.reasons() == {"flat": ("ok", None)}
