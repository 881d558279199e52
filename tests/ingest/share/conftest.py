"""A hub of the tests' own, runs loaded into a store, and a second place with the same dataset."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.layout import Layout
from ingest.runs.load import load
from ingest.systems.materialized import MaterializedDataset
from tests.hub import TOKEN, Hub, serving, set_client


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        set_client(monkeypatch, hub.url, tmp_path / "hf")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def loaded(
    layout: Layout, dataset: Callable[..., MaterializedDataset], planned: Any, finish: Any
) -> Callable[..., None]:
    """Load a run of a toy model over `tiny`: random vectors, the last of its 20 systems failed."""

    def make(
        model_id: str = "toy", names: tuple[str, ...] = ("nodes",), n: int = 20, seed: int = 0
    ) -> None:
        load(layout, finish(planned(dataset(n), model_id, names).run, seed=seed))

    return make


@pytest.fixture
def other(layout: Layout, tmp_path: Path) -> Callable[[], Layout]:
    """The same dataset in another place, without a store."""

    def make() -> Layout:
        (tmp_path / "other").mkdir(exist_ok=True)
        place = Layout(tmp_path / "other" / "matter.duckdb")
        shutil.copytree(layout.dataset("tiny"), place.dataset("tiny"))
        return place

    return make
