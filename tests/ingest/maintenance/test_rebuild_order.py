"""Runs are loaded again in the order of their loads, not by the clock."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from tests.ingest.stores import first_number, quiet, whole


def test_the_clock_does_not_decide_the_order(
    layout: Layout, import_mine: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = import_mine("mine", 1.0), import_mine("mine", 2.0)
    for run, time in ((first, "2026-01-02"), (second, "2026-01-01")):
        run.write("landed.json", run.read("landed.json") | {"landed": time})
    rebuild(layout, quiet)
    assert first_number(layout, "mine") == {2.0}
    assert (
        import_vectors(
            layout, ImportedVectors("mine", layout.store.with_name("mine-1.0.npz")), whole(layout)
        )
        is not None
    )
    rebuild(layout, quiet)
    assert first_number(layout, "mine") == {1.0}


def test_runs_of_before_there_were_numbers_go_by_the_clock(
    layout: Layout, import_mine: Callable[..., Run]
) -> None:
    first, second = import_mine("mine", 1.0), import_mine("mine", 2.0)
    for run, time in ((first, "2026-01-02"), (second, "2026-01-01")):
        (run.folder / "landed.json").write_text(json.dumps({"landed": time}))
    rebuild(layout, quiet)
    assert first_number(layout, "mine") == {1.0}
