"""Samples of downloaded datasets, on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from ingest.sources.shared.downloaded import DEFAULT_SAMPLE, DownloadedDataset
from ingest.systems import sample
from ingest.systems.entry import DatasetError
from tests.hub import Hub
from tests.ingest.downloaded import served
from tests.ingest.sources.numbered_lines import lines, materialize_sample, systems


def test_a_small_source_is_taken_whole(numbers: DownloadedDataset, tmp_path: Path) -> None:
    made = materialize_sample(numbers, tmp_path / "made")
    assert made.n_systems == 40
    assert made.sample == DEFAULT_SAMPLE == 50_000
    assert made.covers(1_000_000)


def test_a_limit_decides_how_much_is_read_and_a_larger_one_extends_it(
    numbers: DownloadedDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    few = systems(materialize_sample(numbers, folder, 7))
    assert few == {f"numbers/{name}" for name in sample.first_ids((f"n{i}" for i in range(40)), 7)}
    more = materialize_sample(numbers, folder, 20)
    assert few < systems(more) and more.n_systems == 20
    assert (
        materialize_sample(numbers, folder, 5) == more
    )  # reused; the plan takes the first five of it
    assert materialize_sample(numbers, folder, 20) == more


def test_what_cannot_be_read_is_counted_and_replaced_by_the_next(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    order = sample.first_ids((f"n{i}" for i in range(40)), 40)
    torn = served(numbers, hub, {"numbers.txt": lines(40, order[1], order[8], order[30])})
    made = materialize_sample(torn, tmp_path / "made", 8)
    assert systems(made) == {f"numbers/{name}" for name in [order[0], *order[2:8], order[9]]}
    assert made.n_unreadable == 2
    everything = materialize_sample(torn, tmp_path / "made", 39)
    assert (everything.n_systems, everything.n_unreadable) == (37, 3)
    assert everything.covers(1000)


def test_a_limit_of_a_large_folder_is_a_small_folder(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    """A plan takes of forty systems those that are read if only so many are asked for."""
    order = sample.first_ids((f"n{i}" for i in range(40)), 40)
    torn = served(numbers, hub, {"numbers.txt": lines(40, order[1], order[8])})
    large, small = (
        materialize_sample(torn, tmp_path / "large"),
        materialize_sample(torn, tmp_path / "small", 9),
    )
    with duckdb.connect() as connection:
        query = f"SELECT system_id FROM read_parquet(?) ORDER BY {sample.ORDER_IN_SQL} LIMIT 9"
        limited = connection.execute(query, [str(large.systems)]).fetchall()
    assert {name for (name,) in limited} == systems(small)


def test_an_id_that_the_source_lists_and_does_not_hold_is_an_error(
    numbers: DownloadedDataset, tmp_path: Path
) -> None:
    listed = replace(
        numbers, loader=replace(numbers.loader, ids=lambda source: iter(["n1", "n99"]))
    )
    with pytest.raises(
        DatasetError, match="numbers: 'n99' and 0 more entries that the source lists are not there"
    ):
        materialize_sample(listed, tmp_path / "made")
    assert not (tmp_path / "made").exists()
