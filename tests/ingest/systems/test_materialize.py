"""Entries: what is checked, what the hash of a content depends on, what a dataset's folder holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.tables import ROW_GROUP
from ingest.systems.validation import validate
from zoo.encoder import content_hash
from zoo.worker.tables import SYSTEMS

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


def water(source_id: str = "water", **changes: object) -> Entry:
    positions = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    return replace(Entry(source_id, np.array([8, 1, 1]), positions), **changes)


def dataset(*entries: Entry | Unreadable, name: str = "toy") -> Dataset:
    return Dataset(name, "Toys", "a test", "MIT", ("numpy",), lambda: iter(entries), (__file__,))


def test_hash_is_the_same_everywhere() -> None:
    """Pinned: a store made on one machine is read on another."""
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


def test_a_box_without_periodicity_is_dropped() -> None:
    boxed = validate(water(cell=np.eye(3) * 10, pbc=np.zeros(3, dtype=bool)))
    assert isinstance(boxed, Entry)
    assert boxed.cell is None
    assert content_hash(boxed) == content_hash(water())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"positions": np.full((3, 3), np.nan)}, "position of atom 0 is nan; expected finite"),
        ({"positions": np.full((3, 3), np.inf)}, "position of atom 0 is inf"),
        (
            {"positions": np.full((3, 3), 1e9)},
            r"position of atom 0 is 1000000000.0; .* within ±1e\+06",
        ),
        (
            {"positions": np.zeros((2, 3))},
            r"3 atomic numbers need positions of shape \(3, 3\), got \(2, 3\)",
        ),
        ({"positions": None}, "must come together"),
        ({"positions": [[0, 0], [1]]}, "not numbers of one shape"),
        ({"numbers": np.array([8, 0, 1])}, "atomic number 0 is not between 1 and 118"),
        ({"numbers": np.array([8, 119, 1])}, "atomic number 119"),
        ({"numbers": np.array([], dtype=int), "positions": np.zeros((0, 3))}, "without atoms"),
        ({"numbers": None, "positions": None}, "nothing to embed"),
        ({"pbc": np.ones(3, dtype=bool)}, "cell and pbc must come together"),
        ({"cell": np.zeros((3, 3)), "pbc": np.ones(3, dtype=bool)}, "span no volume"),
        ({"cell": np.eye(3) * np.nan, "pbc": np.ones(3, dtype=bool)}, "cell vector 0 is nan"),
        (
            {"cell": np.eye(2), "pbc": np.ones(3, dtype=bool)},
            r"shapes \(3, 3\) and \(3,\), got \(2, 2\)",
        ),
        (
            {"sequence": "MK", "backbone": np.zeros((1, 4, 3))},
            r"does not fit its sequence, expected \(2, 4, 3\)",
        ),
        ({"sequence": "M", "backbone": np.full((1, 4, 3), np.nan)}, "backbone of residue 0 is nan"),
    ],
)
def test_a_broken_entry_is_unreadable_with_its_reason(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    written = materialize(dataset(water(), water("broken", **changes)), tmp_path / "toy")
    row = pq.read_table(written.unreadable).to_pylist()
    assert [(r["source_id"], r["system_id"]) for r in row] == [("broken", "toy/broken")]
    with pytest.raises(ValueError, match=reason):
        raise ValueError(row[0]["reason"])


def test_folder_holds_what_the_entries_say(tmp_path: Path) -> None:
    slab = water("slab", cell=np.diag([5.0, 5.0, 0.0]), pbc=np.array([True, True, False]))
    label = Label("energy", -1.5, "eV", "test")
    chain = Entry("chain", sequence="MK", backbone=np.arange(24.0).reshape(2, 4, 3))
    entries = (
        water(labels=(label,), charge=0, spin=1, smiles="O"),
        slab,
        Unreadable("lost", "a reason"),
        chain,
    )
    written = materialize(dataset(*entries), tmp_path / "new" / "toy")
    table = pq.read_table(written.systems)
    assert table.schema.remove_metadata() == SYSTEMS
    rows = table.to_pylist()
    assert [row["system_id"] for row in rows] == ["toy/water", "toy/slab", "toy/chain"]
    assert rows[0]["numbers"] == [8, 1, 1]
    assert rows[0]["cell"] is None
    assert rows[1]["cell"] == slab.cell.tolist()
    assert rows[1]["pbc"] == [True, True, False]
    assert rows[2]["backbone"] == chain.backbone.tolist()
    assert [row["content_hash"] for row in rows] == [
        content_hash(e) for e in entries if isinstance(e, Entry)
    ]
    assert pq.read_table(written.labels).to_pylist() == [
        {
            "system_id": "toy/water",
            "property": "energy",
            "value": -1.5,
            "unit": "eV",
            "source": "test",
        }
    ]
    assert sorted(path.name for path in written.folder.iterdir()) == [
        "dataset.json",
        "labels.parquet",
        "systems.parquet",
        "unreadable.parquet",
    ]
    about = json.loads((written.folder / "dataset.json").read_text())
    assert (about["n_systems"], about["n_unreadable"]) == (3, 1)


def test_dataset_hash_does_not_depend_on_the_order(tmp_path: Path) -> None:
    one = materialize(dataset(water("a"), water("b", charge=1)), tmp_path / "one")
    two = materialize(dataset(water("b", charge=1), water("a")), tmp_path / "two")
    three = materialize(dataset(water("b"), water("a", charge=1)), tmp_path / "three")
    assert one.dataset_hash == two.dataset_hash != three.dataset_hash


def test_systems_stream_in_row_groups(tmp_path: Path) -> None:
    n = 2 * ROW_GROUP + 1
    seen: list[int] = []
    written = materialize(
        dataset(*(water(str(i)) for i in range(n))), tmp_path / "toy", seen.append
    )
    groups = pq.ParquetFile(written.systems).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [
        ROW_GROUP,
        ROW_GROUP,
        1,
    ]
    assert seen == list(range(1, n + 1))


@pytest.mark.parametrize("second", [water("a", charge=1), Unreadable("a", "why")])
def test_an_id_may_appear_once(second: Entry | Unreadable, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the id 'a' appears twice, as entry 1 and entry 3"):
        materialize(dataset(water("a"), water("b"), second), tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_nothing_readable_is_an_error_that_quotes_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match="nothing in a test can be read: the first of its entries, a: why"
    ):
        materialize(dataset(Unreadable("a", "why"), Unreadable("b", "other")), tmp_path / "toy")
    with pytest.raises(DatasetError, match="nothing in a test can be read: it has no entries"):
        materialize(dataset(), tmp_path / "toy")


def test_a_folder_is_reused_while_its_fingerprint_holds(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("1")
    runs: list[str] = []

    def entries() -> Iterator[Entry]:
        runs.append(source.read_text())
        yield water(charge=int(source.read_text()))

    toy = Dataset("toy", "Toys", "a test", "MIT", (), entries, (str(source),))
    first = materialize(toy, tmp_path / "toy")
    assert materialize(toy, tmp_path / "toy") == first
    source.write_text("2")
    second = materialize(toy, tmp_path / "toy")
    assert second.dataset_hash != first.dataset_hash
    assert runs == ["1", "2"]


def test_a_failure_leaves_the_older_folder_as_it_was(tmp_path: Path) -> None:
    first = materialize(dataset(water("a")), tmp_path / "toy")
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    broken = replace(dataset(water("a"), water("a")), title="changed", packages=())
    with pytest.raises(DatasetError, match="appears twice"):
        materialize(broken, tmp_path / "toy")
    assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_damaged_description_is_made_again(tmp_path: Path) -> None:
    first = materialize(dataset(water()), tmp_path / "toy")
    (first.folder / "dataset.json").write_text('{"dataset": "toy"')
    assert materialize(dataset(water()), tmp_path / "toy") == first
