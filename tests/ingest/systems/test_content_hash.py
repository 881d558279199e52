"""The content hash: pinned, and dependent on nothing but the content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from ingest.systems.entry import Entry, Label
from tests.ingest.systems.toys import water
from zoo.encoder import content_hash

COORDINATES = st.floats(-100, 100, width=32)


@st.composite
def crystals(draw: st.DrawFn) -> Entry:
    numbers = draw(st.lists(st.integers(1, 118), min_size=1, max_size=6))
    positions = draw(nps.arrays(np.float64, (len(numbers), 3), elements=COORDINATES))
    return Entry(
        "x",
        np.array(numbers),
        positions,
        np.eye(3) * draw(st.floats(1, 20)),
        np.ones(3, dtype=bool),
    )


def test_hash_is_the_same_everywhere() -> None:
    """It is pinned, as a store made on one machine is read on another."""
    crystal = water(
        cell=np.eye(3), pbc=np.ones(3, dtype=bool), charge=-1, spin=2, smiles="O", sequence="MK"
    )
    assert (
        content_hash(crystal) == "8a06db230512293dbc36e4d54539a570f7eed0084a2e5276eaceb4a4cef51fce"
    )


@given(crystals())
def test_hash_ignores_what_does_not_decide_the_content(crystal: Entry) -> None:
    assert crystal.positions is not None
    other = replace(
        crystal,
        source_id="y",
        labels=(Label("energy", 1.0, "eV", "test"),),
        numbers=crystal.numbers.astype(np.int16),
        positions=np.asfortranarray(np.where(crystal.positions == 0, -0.0, crystal.positions)),
        pbc=crystal.pbc.tolist(),
    )
    assert content_hash(other) == content_hash(crystal)


@given(
    crystals(),
    st.sampled_from(
        ["numbers", "positions", "cell", "pbc", "charge", "spin", "smiles", "sequence"]
    ),
)
def test_hash_sees_every_field(crystal: Entry, field: str) -> None:
    texts = {"charge": 1, "spin": 1, "smiles": "C", "sequence": "C"}
    value = getattr(crystal, field)
    changed = texts[field] if value is None else ~value if field == "pbc" else value + 1
    assert content_hash(replace(crystal, **{field: changed})) != content_hash(crystal)


def test_hash_tells_fields_and_shapes_apart() -> None:
    same_bytes = [
        Entry("x", smiles="CC"),
        Entry("x", sequence="CC"),
        Entry("x", charge=1),
        Entry("x", spin=1),
    ]
    shapes = [Entry("x", positions=np.zeros(shape)) for shape in [(1, 3), (3, 1), (3,)]]
    assert len({content_hash(entry) for entry in same_bytes + shapes}) == 7


@given(crystals())
def test_hash_survives_eight_decimals(crystal: Entry) -> None:
    printed = [[float(f"{x:.8f}") for x in row] for row in crystal.positions.tolist()]
    again = np.abs(np.array(printed) - crystal.positions).max()
    assert again <= 0.51e-8
    on_the_grid = replace(crystal, positions=np.array(printed))
    assert content_hash(on_the_grid) == content_hash(
        replace(crystal, positions=np.round(crystal.positions, 8))
    )
