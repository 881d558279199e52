"""A store is made again from folders that earlier versions wrote."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingest.integrity import read_json, write_json
from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset


def as_before(content: Any) -> Any:
    """Spell keys as store schema 3 and before did."""
    if isinstance(content, list):
        return [as_before(item) for item in content]
    if not isinstance(content, dict):
        return content
    return {key.replace("license", "licence"): as_before(value) for key, value in content.items()}


def test_folders_with_keys_in_the_old_spelling_are_read(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
    contents: Callable[[Path], dict[str, list[str]]],
) -> None:
    run = finish(planned(dataset(20)).run)
    load(layout, run)
    before = contents(layout.store)
    for file in (layout.dataset("tiny") / "dataset.json", run.folder / "model.json"):
        modified = file.stat().st_mtime_ns  # the column `added` of the dataset
        write_json(file, as_before(read_json(file)))
        os.utime(file, ns=(modified, modified))
        assert "licence" in file.read_text() and "license" not in file.read_text()
    assert (
        read_json(run.folder / "model.json")["model"]["card"]["license_weights"]["name"] == "none"
    )
    layout.store.unlink()
    assert rebuild(layout, lambda text: None) == 1
    assert contents(layout.store) == before
