"""Chunks are grouped by family and length, within what an array may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.executors.shared.grouping import TASK_SECONDS, Chunk, group
from ingest.runs.errors import RequestError

chunks = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.floats(1, 10_000)), max_size=60
).map(lambda found: [Chunk(f"r{i}", f, f"{f}-{i % 3}", s) for i, (f, s) in enumerate(found)])


@given(chunks, st.integers(3, 80))
def test_every_chunk_is_in_one_task_with_chunks_of_its_family_alone(
    found: list[Chunk], most: int
) -> None:
    tasks = group(found, most)
    assert sorted(run for task in tasks for run in task) == sorted(c.run_id for c in found)
    assert len(tasks) <= most
    family = {chunk.run_id: chunk.family for chunk in found}
    assert all(len({family[run] for run in task}) == 1 for task in tasks)


def test_long_chunks_and_those_of_unknown_length_are_alone() -> None:
    long = [Chunk(f"r{i}", "a", "a-1", seconds) for i, seconds in enumerate([None, 9_000.0, None])]
    assert group(long, 1000) == [["r0"], ["r1"], ["r2"]]


def test_short_chunks_fill_a_task() -> None:
    short = [Chunk(f"r{i}", "a", "a-1", TASK_SECONDS / 4) for i in range(10)]
    assert list(map(len, group(short, 1000))) == [4, 4, 2]


def test_more_chunks_share_a_task_where_an_array_is_small() -> None:
    many = [Chunk(f"r{i:04}", "a", "a-1") for i in range(1000)]
    assert len(group(many, 101)) <= 101
    assert list(map(len, group(many, 1000, per_task=300))) == [300, 300, 300, 100]


def test_too_many_tasks_are_refused_with_what_to_do() -> None:
    many = [Chunk(f"r{i}", "a", "a-1") for i in range(20)]
    with pytest.raises(RequestError, match="20 chunks make 10 tasks, and this cluster takes 9"):
        group(many, 9, per_task=2)
