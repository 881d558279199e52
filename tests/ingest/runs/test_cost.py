"""How fast a model is: by the largest run here, else by its card, else nobody knows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.runs.cost import START_SECONDS, find_speed
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from zoo.cards.discovery import find_model

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"


def test_speed_is_what_the_largest_run_on_such_a_device_took(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
) -> None:
    toy, speed = find_model("toy"), partial(find_speed, layout, dtype="float32")
    compute = toy.model.compute.model_copy(update={"systems_per_second": 50.0})
    model = toy.model.model_copy(update={"compute": compute})
    carded = toy.model_copy(update={"model": model})
    assert speed(toy, "cpu") is None  # nobody has measured it
    assert speed(carded, "cpu") == 50.0
    assert speed(carded, "cuda") is None  # its card was measured on CPU cores
    made = dataset(20)
    load(layout, finish(planned(made, limit=5).run))
    load(layout, finish(planned(made).run))
    with connect(layout.store, read_only=False) as connection:
        connection.execute("UPDATE runs SET device = 'cuda:0', seconds = 15 + sent")
    assert speed(carded, "cpu") == 50.0
    assert speed(toy, "cuda:1") == pytest.approx(15 / (15 + 15 - START_SECONDS))
    with held(layout.store):
        assert speed(carded, "cuda:1") is None
        assert speed(carded, "cpu") == 50.0


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Have another process keep the store from being read."""
    command = [sys.executable, "-c", HOLD, str(store)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate("\n")
