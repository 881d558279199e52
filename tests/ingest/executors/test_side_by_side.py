"""Several workers at once do what one does, and none of them costs another its job."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from shutil import copytree

import pytest

from ingest.executors import embed, local
from ingest.executors.side_by_side import WORKER_BYTES, Crew, choose_crew
from ingest.layout import Layout
from ingest.runs.execute import Turn
from ingest.runs.folder import list_runs, lock_run
from ingest.runs.plan import Plan
from ingest.runs.request import Request
from ingest.runtimes.docker import RUNTIME as DOCKER
from ingest.runtimes.environment import hold
from ingest.runtimes.neighbors import Neighbors
from ingest.runtimes.venv import RUNTIME as VENV
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect
from zoo.cards.discovery import find_family, find_model
from zoo.worker.events import ADVICE_FILE

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Said = pytest.CaptureFixture[str]
XYZ = '2\nname="m{i}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{length}\n'
ALL = "toy,toy-picky,toy-potential"
SLOW = "batch = 8, systems_per_second = 0.1 }"  # 40 s for four molecules, so that help is worth it

TWO_WORKERS = [
    sys.executable,
    "-c",
    "from ingest.executors import local; local.count_cores = lambda: 2; "
    "local.free_memory = lambda: None; import sys, matterzoo; sys.exit(matterzoo.main())",
]


@pytest.fixture
def slow(
    layout: Layout, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[int]]:
    """Give the toy family measured speeds; return a function that reads its workers' processes."""
    copy = tmp_path / "zoo" / "toy"
    copytree(toy_folder / "zoo" / "toy", copy)
    cards = copy / "models.toml"
    cards.write_text(cards.read_text().replace("batch = 8 }", SLOW))
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path / "zoo"))
    pids = tmp_path / "pids"
    pids.touch()
    monkeypatch.setenv("TOY_PIDS", str(pids))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in (("count_cores", 2), ("free_memory", 2 * WORKER_BYTES)):
        for module in (embed, local):
            monkeypatch.setattr(module, name, lambda value=value: value)
    return lambda: [int(line) for line in pids.read_text().splitlines()]


@pytest.fixture
def molecules(layout: Layout) -> str:
    """Write a file of four molecules; return its path."""
    file = layout.store.with_name("molecules.extxyz")
    file.write_text("".join(XYZ.format(i=i, length=i + 6) for i in range(4)))
    return str(file)


def vectors(layout: Layout) -> list[tuple[object, ...]]:
    with connect(layout.store, read_only=True) as connection:
        return connection.execute(
            "SELECT model_id, system_id, vector, run_id FROM embeddings ORDER BY ALL"
        ).fetchall()


def test_two_workers_give_the_same_as_one(
    layout: Layout,
    molecules: str,
    slow: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "1")
    assert main(["ingest", ALL, molecules, "--runtime", "venv"]) == 0
    assert len(slow()) == 3 and len(set(slow())) == 2
    said = capfd.readouterr().out
    assert "to compute: 12 vectors by 3 models, about 65 s by 2 workers at once" in said
    assert sorted(re.findall(r"\[(\d) of 3\] toy\S* on molecules: 4 systems on cpu", said)) == list(
        "123"
    )
    assert said.count(": 4 ok, 0 failed, 0 not applicable in ") == 3
    found = vectors(layout)
    monkeypatch.setenv("MATTERZOO_STORE", str(layout.store.with_name("other.duckdb")))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("TOY_SLEEP", "0")
    assert main(["ingest", ALL, molecules, "--runtime", "venv"]) == 0
    assert len(set(slow())) == 3
    assert vectors(Layout.find()) == found


def test_a_model_that_fails_costs_only_its_own_job(
    layout: Layout, molecules: str, slow: Callable[[], list[int]], capfd: Said
) -> None:
    assert main(["ingest", f"toy-broken,{ALL}", molecules, "--runtime", "venv"]) == 1
    assert [row[0] for row in vectors(layout)[::4]] == ["toy", "toy-picky", "toy-potential"]
    said = capfd.readouterr().err
    assert "error: toy-broken on molecules: toy-broken could not be loaded: ValueError: " in said
    assert "error: 1 of 4 models failed: toy-broken. " in said


def test_a_worker_that_is_killed_beside_another_is_not_to_blame(
    layout: Layout,
    molecules: str,
    slow: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    kill = layout.store.with_name("kill")
    kill.write_text("1")
    monkeypatch.setenv("TOY_KILL", str(kill))
    monkeypatch.setenv("TOY_SLEEP", "1")
    assert main(["ingest", ALL, molecules, "--runtime", "venv", "--batch", "2"]) == 0
    assert len(vectors(layout)) == 12
    said = capfd.readouterr().out
    assert said.count("killed by SIGKILL from outside") == 1
    assert said.count("; once more, while the others wait") == 1
    assert not any((run.job / ADVICE_FILE).exists() for run in list_runs(layout))


def test_a_signal_ends_all_workers_and_the_same_command_continues(
    layout: Layout,
    molecules: str,
    slow: Callable[[], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGTERM is taken as SIGINT is: tests/ingest/test_toy_family.py sends both to one worker."""
    monkeypatch.setenv("TOY_SLEEP", "2")
    command = [*TWO_WORKERS, "ingest", ALL, molecules, "--batch", "1"]
    with subprocess.Popen(
        [*command, "--runtime", "venv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while len(slow()) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert not any(is_alive(pid) for pid in slow())
    assert "Traceback" not in err
    monkeypatch.setenv("TOY_SLEEP", "0")
    assert main(["ingest", ALL, molecules, "--batch", "1", "--runtime", "venv"]) == 0
    assert len(vectors(layout)) == 12


@contextmanager
def an_index_that_never_answers(folder: Path) -> Iterator[dict[str, str]]:
    """Yield variables with which an environment is built for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        index = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        new = {"MATTERZOO_ENVS": str(folder), "UV_CACHE_DIR": str(folder / "cache")}
        yield new | {"UV_DEFAULT_INDEX": index, "UV_FIND_LINKS": "", "UV_NO_CONFIG": "1"}


@contextmanager
def an_environment_that_another_process_builds(folder: Path) -> Iterator[dict[str, str]]:
    """Yield variables with which every worker waits for ever."""
    with hold(find_family("toy"), exclusive=True, log=print):
        yield {}


@pytest.mark.parametrize(
    ("busy", "line"),
    [
        (an_index_that_never_answers, "building the environment of toy"),
        (an_environment_that_another_process_builds, "waiting for another process"),
    ],
)
def test_ctrl_c_ends_what_is_prepared_and_is_no_failure(
    layout: Layout,
    molecules: str,
    slow: Callable[[], list[int]],
    tmp_path: Path,
    busy: Callable[[Path], AbstractContextManager[dict[str, str]]],
    line: str,
) -> None:
    with (
        busy(tmp_path / "new") as variables,
        subprocess.Popen(
            [*TWO_WORKERS, "ingest", ALL, molecules, "--runtime", "venv"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | variables, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        said = ""
        while line not in said:
            assert (piece := process.stdout.readline()), said
            said += piece
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        said += process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "error: toy" not in said and "could not be" not in said and "Traceback" not in said
    assert said.count("building the environment") == line.startswith("building")
    assert said.count(": 4 systems on cpu") == 2
    assert not list((tmp_path / "new").glob(".toy.*.tmp"))
    assert not layout.store.exists()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_request_that_is_tried_again_keeps_its_number(
    slow: Callable[[], list[int]],
    dataset: Make,
    planned: Planned,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    made = dataset(4)
    monkeypatch.setattr(embed, "prepare_dataset", lambda layout, found, **_: made)
    assert main(["ingest", "toy-potential", "elements", "--runtime", "venv"]) == 0
    (run,) = planned(made, names=("nodes",)).runs
    with lock_run(run):
        assert main(["ingest", ALL, "elements", "--runtime", "venv"]) == 1
    said = re.findall(r"\[(\d) of 3\] toy on tiny: 4 systems", capfd.readouterr().out)
    assert len(said) == 2 and len(set(said)) == 1


def test_who_works_alone_waits_for_the_others_and_they_for_it() -> None:
    neighbors, order = Neighbors(1), list[str]()
    started, go_on = threading.Event(), threading.Event()

    def work_alone() -> None:
        with neighbors.at_work(alone=True) as had_company:
            order.append("alone")
            started.set()
            assert go_on.wait(10)
            order.append("alone ends")
            assert not had_company()

    with neighbors.at_work() as had_company:
        alone = threading.Thread(target=work_alone)
        alone.start()
        assert not started.wait(0.1)
        assert not had_company()
        order.append("first ends")
    assert started.wait(10)
    after = threading.Thread(target=lambda: _work(neighbors, order))
    after.start()
    go_on.set()
    alone.join()
    after.join()
    assert order == ["first ends", "alone", "alone ends", "after"]


def _work(neighbors: Neighbors, order: list[str]) -> None:
    with neighbors.at_work():
        order.append("after")


def test_there_are_as_many_workers_as_the_machine_and_the_work_allow(
    slow: Callable[[], list[int]],
    dataset: Make,
    planned: Planned,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = dataset(4)
    turns = [
        Turn(Request(find_model(name), made, ("nodes",)), planned=planned(made, model_id=name))
        for name in ALL.split(",")
    ]
    cpu, seconds = ["cpu"], [turn.seconds for turn in turns]
    assert choose_crew(VENV, cpu, seconds, 2, None) == Crew(2, 1)
    assert choose_crew(VENV, cpu, seconds, 16, None) == Crew(3, 5)
    assert choose_crew(VENV, cpu, seconds, 16, 2 * WORKER_BYTES) == Crew(2, 8)
    assert choose_crew(VENV, cpu, seconds, 16, WORKER_BYTES) == Crew(1)
    assert choose_crew(VENV, cpu, seconds, 1, None) == Crew(1)
    assert choose_crew(VENV, cpu, seconds[:1], 16, None) == Crew(1)
    assert choose_crew(DOCKER, cpu, seconds, 16, None) == Crew(1)
    assert choose_crew(VENV, ["cpu", "cuda"], seconds, 16, None) == Crew(1)
    assert choose_crew(VENV, cpu, [], 16, None) == Crew(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert choose_crew(VENV, cpu, seconds, 16, None) == Crew(2, 8)
    assert choose_crew(VENV, cpu, seconds, 8, None) == Crew(1)
