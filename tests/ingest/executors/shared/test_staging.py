"""What is to be computed is made ready first, also what has to be computed again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.executors.shared.claims import Claims
from ingest.executors.shared.staging import Staging
from ingest.layout import Layout
from ingest.runs.folder import Run, lock_run
from ingest.runs.plan import Plan
from ingest.runs.request import Request
from ingest.runtimes.venv import RUNTIME
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.discovery import find_model


def test_runs_with_lost_files_are_reopened_staged_and_waited_for_once(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "1")
    made, models = dataset(5), ("toy", "toy-picky")
    for model in models:
        (finish(planned(made, model).run).out / "vectors-00000.parquet").unlink()
    staging = Staging(layout, RUNTIME)
    for model in models:
        request = Request(find_model(model), made, ("nodes",))
        (run,) = staging.stage(request, Claims()).runs
        assert not run.finished
        assert run.read("runtime.json")["runtime"] == "venv"
    said = capfd.readouterr().out
    assert said.count(": waiting up to 1 s; ") == 1
    assert said.count("vectors-00000.parquet is not seen") == 3


def test_what_another_process_computes_keeps_what_that_has_noted(
    layout: Layout, dataset: Callable[..., MaterializedDataset], planned: Callable[..., Plan]
) -> None:
    """As when a task of Slurm is at a chunk for which Ray is asked, too."""
    made = dataset(5)
    (run,) = planned(made).runs
    noted = {"runtime": "apptainer", "image": "sha256:a"}
    run.write("runtime.json", noted)
    request = Request(find_model("toy"), made, ("nodes",))
    with lock_run(run):
        assert Staging(layout, RUNTIME).stage(request, Claims()).runs == (run,)
    assert run.read("runtime.json") == noted
