"""The models of a family share a worker, and none of them takes another with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.failures import RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs import pending
from ingest.runs.folder import Run
from ingest.runs.plan import Plan
from ingest.runtimes import environment
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.venv import RUNTIME, ChildProcess
from ingest.runtimes.worker import JobPlaces
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect
from zoo.cards.discovery import find_family
from zoo.places import environments

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Said = pytest.CaptureFixture[str]
XYZ = '2\nname="m{i}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{length}\n'


@pytest.fixture
def pids(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Return a function that reads the process of each model that was loaded."""
    file = layout.store.with_name("pids")
    file.touch()
    monkeypatch.setenv("TOY_PIDS", str(file))
    return lambda: [int(line) for line in file.read_text().splitlines()]


@pytest.fixture
def molecules(layout: Layout) -> str:
    """Two files of three molecules each, as the command names them."""
    files = [layout.store.with_name(f"{name}.extxyz") for name in ("first", "second")]
    for file in files:
        file.write_text("".join(XYZ.format(i=i, length=i + 7) for i in range(3)))
    return ",".join(map(str, files))


def stored(layout: Layout) -> list[tuple[str, int]]:
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT model_id, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL"
        return connection.execute(query).fetchall()


def test_the_models_and_datasets_of_a_request_share_a_worker(
    layout: Layout, molecules: str, pids: Callable[[], list[int]], capfd: Said
) -> None:
    assert main(["ingest", "toy,toy-picky", molecules, "--runtime", "venv"]) == 0
    assert stored(layout) == [("toy", 6), ("toy-picky", 6)]
    assert len(pids()) == 4 and len(set(pids())) == 1
    said = capfd.readouterr().out
    names = ("toy on first", "toy-picky on first", "toy on second", "toy-picky on second")
    lines = [f"[{i} of 4] {name}: 3 systems on cpu" for i, name in enumerate(names, 1)]
    places = [said.index(line) for line in lines]
    assert places == sorted(places)
    assert "to compute: 12 vectors by 2 models" in said


def test_a_model_that_fails_costs_only_its_own_job(
    layout: Layout, molecules: str, pids: Callable[[], list[int]], capfd: Said
) -> None:
    assert main(["ingest", "toy,toy-broken,toy-picky", molecules, "--runtime", "venv"]) == 1
    assert stored(layout) == [("toy", 6), ("toy-picky", 6)]
    assert [len(same) for same in _runs_of(pids())] == [1, 2, 1]
    said = capfd.readouterr().err
    for name in ("first", "second"):
        assert f"error: toy-broken on {name}: toy-broken could not be loaded: ValueError: " in said
    assert said.count("error: 1 of 3 models failed: toy-broken. `matterzoo ingest toy-broken ") == 2


def test_a_worker_that_is_killed_is_followed_by_one_for_the_rest(
    layout: Layout,
    molecules: str,
    pids: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    kill = layout.store.with_name("kill")
    kill.write_text("1")
    monkeypatch.setenv("TOY_KILL", str(kill))
    command = ["ingest", "toy,toy-picky", molecules, "--runtime", "venv", "--batch", "2"]
    assert main(command) == 0
    assert stored(layout) == [("toy", 6), ("toy-picky", 6)]
    assert capfd.readouterr().out.count("the worker was killed from outside") == 1
    assert [len(same) for same in _runs_of(pids())] == [1, 4]


def test_an_environment_that_becomes_stale_meanwhile_is_built_again(
    layout: Layout, molecules: str, pids: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    markers = [environments() / "toy" / environment.MARKER]
    load = pending.load

    def make_stale_and_load(*given: object, **options: object) -> object:
        while markers:
            markers.pop().unlink()
        return load(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pending, "load", make_stale_and_load)
    assert main(["ingest", "toy,toy-picky", molecules, "--runtime", "venv"]) == 0
    assert stored(layout) == [("toy", 6), ("toy-picky", 6)]
    assert [len(same) for same in _runs_of(pids())] == [1, 3]
    assert environment.ready(find_family("toy"))


@contextmanager
def worker_of_two(planned: Planned, made: MaterializedDataset) -> Iterator[tuple[object, ...]]:
    runs = [planned(made, model_id=model_id).run for model_id in ("toy", "toy-picky")]
    jobs = [JobPlaces(run.job, run.out) for run in runs if run is not None]
    with FamilyWorker(RUNTIME, find_family("toy"), jobs, Limits(), print) as worker:
        yield worker, runs, jobs


@pytest.mark.parametrize("noticed", [True, False])
def test_a_worker_that_ends_between_two_jobs_is_replaced(
    noticed: bool,
    dataset: Make,
    planned: Planned,
    pids: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with worker_of_two(planned, dataset(3)) as (worker, runs, jobs):
        worker.run(jobs[0], lambda event: None)
        os.kill(pids()[0], signal.SIGKILL)
        if noticed:
            os.waitid(os.P_PID, pids()[0], os.WEXITED | os.WNOWAIT)
        else:
            monkeypatch.setattr(ChildProcess, "waits", True)
        worker.run(jobs[1], lambda event: None)
    assert [run.finished for run in runs] == [True, True]
    assert len(set(pids())) == 2


def test_a_job_that_it_was_not_made_for_gets_a_worker_of_its_own(
    dataset: Make, planned: Planned, pids: Callable[[], list[int]]
) -> None:
    made = dataset(3)
    other = planned(made, limit=2).run
    assert other is not None
    with worker_of_two(planned, made) as (worker, runs, jobs):
        worker.run(jobs[0], lambda event: None)
        worker.run(JobPlaces(other.job, other.out), lambda event: None)
        worker.run(jobs[1], lambda event: None)
    assert other.finished and all(run.finished for run in runs)
    assert len(set(pids())) == 3


def test_a_worker_of_which_the_first_job_fails_is_not_tried_twice(
    dataset: Make, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(dataset(20)).run
    assert isinstance(run, Run)
    (tmp_path / "kill").write_text("5")
    monkeypatch.setenv("TOY_KILL", str(tmp_path / "kill"))
    places = JobPlaces(run.job, run.out)
    with (
        FamilyWorker(RUNTIME, find_family("toy"), [places], Limits(), print) as worker,
        pytest.raises(RunError, match="killed by SIGKILL from outside"),
    ):
        worker.run(places, lambda event: None)
    assert not run.finished


def _runs_of(values: list[int]) -> list[list[int]]:
    """Return the values in groups of equal ones that follow each other."""
    groups: list[list[int]] = []
    for value in values:
        if groups and groups[-1][0] == value:
            groups[-1].append(value)
        else:
            groups.append([value])
    return groups
