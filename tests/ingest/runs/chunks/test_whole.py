"""Chunks that are cut once for several models are those that each would be sent alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.runs import plan as plan_module
from ingest.runs.chunks.cut import cut_into_chunks
from ingest.runs.chunks.whole import WholeChunks
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan, plan
from ingest.runs.request import Request
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.discovery import find_model
from zoo.worker.tables import SYSTEMS

SIZE = 8
Make = Callable[..., MaterializedDataset]
Ask = Callable[..., Plan]


@pytest.fixture
def ask(layout: Layout, dataset: Make, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a function that plans a model over a dataset of 20 systems, in chunks of SIZE."""
    monkeypatch.setattr(plan_module, "cut_into_chunks", partial(cut_into_chunks, size=SIZE))
    made = dataset(20)

    def make(model: str, limit: int | None = None, chunks: WholeChunks | None = None) -> Plan:
        request = Request(find_model(model), made, ("nodes",), limit)
        return plan(layout, request, chunks=chunks)

    return make


def systems(runs: tuple[Run, ...]) -> dict[str, object]:
    return {run.run_id: pq.read_table(run.systems, schema=SYSTEMS) for run in runs}


@pytest.mark.parametrize("limit", [None, 19, 5])
def test_runs_and_their_systems_are_the_same(ask: Ask, layout: Layout, limit: int | None) -> None:
    alone = ask("toy", limit)
    expected = systems(alone.runs)
    (layout.dataset("tiny") / ".chunks-left").mkdir()  # by a process that was killed
    shutil.rmtree(layout.runs)
    shutil.rmtree(layout.dataset("tiny") / "chunks")
    with WholeChunks(layout.spill, SIZE) as chunks:
        together = [ask(name, limit, chunks) for name in ("toy", "toy-picky")]
    assert together[0] == alone
    assert systems(together[0].runs) == expected
    first, second = (plan.runs for plan in together)
    assert all(a.systems.samefile(b.systems) for a, b in zip(first, second, strict=True))
    assert list(layout.dataset("tiny").glob(".chunks-*")) == []


def test_the_hash_is_that_of_ids_and_contents(ask: Ask, layout: Layout) -> None:
    (run,) = ask("toy", 5).runs
    rows = pq.read_table(run.systems, columns=["system_id", "content_hash"]).to_pylist()
    lines = [f"{row['system_id']}\t{row['content_hash']}\n" for row in rows]
    digest = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    (shared,) = (layout.dataset("tiny") / "chunks").iterdir()
    assert shared.name.startswith(digest[:16])


def test_what_is_stored_or_begun_is_compared(
    ask: Ask, layout: Layout, finish: Callable[..., Run]
) -> None:
    with WholeChunks(layout.spill, SIZE) as chunks:
        load(layout, finish(ask("toy", 8, chunks).run))
        finish(ask("toy-picky", 5, chunks).run)
        assert [ask("toy", None, chunks).sent, ask("toy-picky", None, chunks).sent] == [12, 20]
        sizes = [pq.read_metadata(run.systems).num_rows for run in ask("toy-picky").runs]
    assert sizes == [5, 3, 8, 4]


def test_a_chunk_that_vanishes_meanwhile_is_written_again(ask: Ask, layout: Layout) -> None:
    folder: Path = layout.dataset("tiny") / "chunks"
    kept = ask("toy", 16).runs  # so that a larger request finds two chunks there
    with WholeChunks(layout.spill, SIZE) as chunks:
        assert len(ask("toy-picky", None, chunks).runs) == 3
        for file in folder.iterdir():
            file.unlink()
        found = ask("toy-potential", None, chunks).runs
    assert [pq.read_table(run.systems) for run in found[:2]] == [
        pq.read_table(run.systems) for run in kept
    ]
