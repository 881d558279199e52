"""A carried table that is slow to make: a limit makes a sample, and the whole comes later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest.layout import Layout
from ingest.runs.prepare import prepare_dataset
from ingest.sources import b3db
from ingest.sources.shared.carried import Row, SlowDataset
from ingest.systems.entry import Entry, Unreadable
from ingest.systems.sample import first_ids

SMILES = ["C", "CC", "nonsense", "CCC", "CO", "CCO", "N", "O", "CN", "CCN"]
ROWS: list[Row] = [
    {"id": str(number), "smiles": smiles, "permeable": "1", "logbb": "", "group": "A"}
    for number, smiles in enumerate(SMILES)
]
ORDER = first_ids(map(str, range(10)), 10)


@pytest.fixture
def small() -> SlowDataset:
    """A dataset of ten molecules, of which one cannot be read."""
    return replace(b3db.DATASET, name="small", rows=lambda: ROWS, approx_systems=10)


def test_a_limit_makes_the_systems_that_it_means(small: SlowDataset) -> None:
    assert ORDER.index("2") < 9, "a row that cannot be read is among the first"
    for limit in (1, 5, 9):
        dataset = small.sampled(limit, print)
        made = list(dataset.entries())
        assert [entry.source_id for entry in made] == ORDER[: len(made)]
        assert sum(isinstance(entry, Entry) for entry in made) == limit
        assert all(entry.numbers is not None for entry in made if isinstance(entry, Entry))
        assert (dataset.sample, dataset.name) == (limit, "small")


def make_impossible(row: Row) -> Entry:
    """Make an entry, of row 3 one with two atoms in one place."""
    positions = np.zeros((2, 3))
    positions[1, 0] = row["id"] != "3"
    return Entry(row["id"], np.array([1, 1]), positions)


def test_others_take_the_place_of_impossible_systems(small: SlowDataset) -> None:
    limit = ORDER.index("3") + 1
    made = list(replace(small, make=make_impossible).sampled(limit, print).entries())
    assert [entry.source_id for entry in made] == ORDER[: limit + 1]
    assert [entry.source_id for entry in made if isinstance(entry, Unreadable)] == ["3"]


def test_without_a_limit_it_is_the_whole_table(small: SlowDataset) -> None:
    for limit in (None, 10, 11):
        dataset = small.sampled(limit, print)
        assert dataset.sample is None
    made = list(dataset.entries())
    assert [entry.source_id for entry in made] == [row["id"] for row in ROWS]
    assert [entry.source_id for entry in made if isinstance(entry, Unreadable)] == ["2"]


def test_a_sample_grows_and_never_shrinks(small: SlowDataset, tmp_path: Path) -> None:
    layout = Layout.find(str(tmp_path / "matter.duckdb"))
    sizes = []
    for limit in (2, 4, 3, None, 2):
        made = prepare_dataset(layout, small.sampled(limit, print))
        sizes.append((made.n_systems, made.sample))
    assert sizes == [(2, 2), (4, 4), (4, 4), (9, None), (9, None)]
    other = replace(small, words=("another version",)).sampled(2, print)
    assert prepare_dataset(layout, other).n_systems == 9, "made again as large as it was"
