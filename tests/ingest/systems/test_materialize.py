"""Materialized datasets: what the folder holds, and when it is written again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.tables import ROW_GROUP
from tests.ingest.systems.toys import dataset, water
from zoo.encoder import content_hash
from zoo.worker.tables import SYSTEMS


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
