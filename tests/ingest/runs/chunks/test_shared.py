"""The jobs of all models that are sent the same part of a dataset are links to one file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from ingest.runs.chunks.shared import FOLDER
from ingest.runs.folder import Run
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]


def only_run(planned: Plan) -> Run:
    (run,) = planned.runs
    return run


def shared_files(made: MaterializedDataset) -> list[Path]:
    return sorted((made.folder / FOLDER).iterdir())


def test_two_models_are_sent_one_file(dataset: Make, planned: Planned) -> None:
    made = dataset(20)
    runs = [only_run(planned(made, model_id=name, limit=5)) for name in ("toy", "toy-picky")]
    (shared,) = shared_files(made)
    assert all(run.systems.samefile(shared) for run in runs)
    assert pq.read_metadata(shared).num_rows == 5


def test_a_file_that_was_damaged_is_not_sent_again(dataset: Make, planned: Planned) -> None:
    made = dataset(20)
    first = only_run(planned(made, limit=5))
    sound = first.systems.read_bytes()
    with first.systems.open("r+b") as file:
        file.write(b"\0")
    second = only_run(planned(made, model_id="toy-picky", limit=5))
    assert second.systems.read_bytes() == sound
    (shared,) = shared_files(made)
    assert shared.samefile(second.systems)
    again = only_run(planned(made, limit=5))
    assert again == first and again.systems.samefile(shared)


def test_what_no_job_uses_is_removed(dataset: Make, planned: Planned) -> None:
    made = dataset(20)
    shutil.rmtree(only_run(planned(made, limit=5)).folder)
    other = only_run(planned(made, limit=6))
    (shared,) = shared_files(made)
    assert shared.samefile(other.systems)


def test_a_folder_that_cannot_be_written_is_no_obstacle(dataset: Make, planned: Planned) -> None:
    made = dataset(20)
    (made.folder / FOLDER).write_text("a file in its place")
    assert pq.read_metadata(only_run(planned(made, limit=5)).systems).num_rows == 5
