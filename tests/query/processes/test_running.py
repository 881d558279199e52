"""Several processes find what one finds; one that dies costs a task, an interrupt ends all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch

import query
from query.processes.agenda import Agenda, Outcome, Task
from query.processes.helpers import Helpers, fitting_processes
from query.processes.running import run_tasks
from query.statements import Answer, ask
from zoo.places import ROOT

QUESTION = {"dataset": "crystals", "metric": "cka"}


def nothing(task: Task, outcome: Outcome) -> list[Task]:
    return []


def wait_for(connection: duckdb.DuckDBPyConnection, file: Path) -> int:
    """Return this process's id once a file exists."""
    end = time.monotonic() + 120
    while not file.exists():
        assert time.monotonic() < end, f"{file} never appeared"
        time.sleep(0.01)
    return os.getpid()


def wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def answer(connection: duckdb.DuckDBPyConnection) -> Answer:
    return ask(connection, "alignment_matrix", **QUESTION)


def touch(connection: duckdb.DuckDBPyConnection, file: Path) -> int:
    file.touch()
    return os.getpid()


def read_settings(connection: duckdb.DuckDBPyConnection) -> tuple[object, ...]:
    settings = "SELECT current_setting('threads'), current_setting('memory_limit')"
    return *connection.execute(settings).fetchall()[0], torch.get_num_threads()


def die(connection: duckdb.DuckDBPyConnection, begun: Path) -> None:
    begun.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt(connection: duckdb.DuckDBPyConnection) -> None:
    time.sleep(0.5)  # another process is starting
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def test_a_process_finds_the_same_and_its_death_costs_one_task(
    store_path: Path, tmp_path: Path
) -> None:
    begun, touched = tmp_path / "begun", tmp_path / "touched"
    # This process takes no other task before the last of them has begun, which would kill it.
    here = Task("here", "", wait_for, (begun,))
    there = [
        Task("answer", "there", answer),
        Task("touch", "there", touch, (touched,)),
        Task("die", "there", die, (begun,)),
    ]
    found: dict[object, Outcome] = {}

    def then(task: Task, outcome: Outcome) -> Iterable[Task]:
        found[task.place] = outcome
        return [Task("more", "more", touch, (touched,))] if task.place == "die" else []

    with Helpers(2) as helpers, query.connect(store_path) as connection:
        run_tasks(connection, [], nothing, helpers)  # the helper still opens the store behind it
        run_tasks(connection, [here, *there], then, helpers)
        asked = answer(connection)
    assert found["here"].value == found["more"].value == os.getpid() != found["touch"].value
    assert found["die"].lost == "the process that was at it ended with exit code -9"
    assert found["answer"].value.sql == asked.sql
    assert_same(found["answer"].value.rows, asked.rows)
    assert multiprocessing.active_children() == []


def test_an_interrupt_ends_all_processes(store_path: Path) -> None:
    start = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        query.connect(store_path) as connection,
        Helpers(2) as helpers,
    ):
        run_tasks(connection, [Task(0, "", interrupt)], nothing, helpers)
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 60


def work_long(connection: duckdb.DuckDBPyConnection, begun: Path) -> None:
    begun.symlink_to(str(os.getpid()))
    time.sleep(100)


AT_WORK = """
import sys
from pathlib import Path
store, folder, first, kind = sys.argv[1:]
__import__(first)
from query.processes.helpers import Helpers

with Helpers(2, ["query.report"]) as helpers:
    import query
    from tests.query.processes.test_running import Task, nothing, run_tasks, work_long

    assert type(helpers.each[0]._process).__name__ == kind
    connection = query.connect(store)
    tasks = [Task(name, name, work_long, (Path(folder) / name,)) for name in ("here", "there")]
    run_tasks(connection, tasks, nothing, helpers)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
@pytest.mark.parametrize(("first", "kind"), [("query", "ForkProcess"), ("torch", "SpawnProcess")])
def test_a_helper_at_work_ends_with_a_process_that_is_killed(
    store_path: Path, tmp_path: Path, first: str, kind: str
) -> None:
    names = [tmp_path / "here", tmp_path / "there"]
    with subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(store_path), str(tmp_path), first, kind], cwd=ROOT
    ) as killed:
        wait(lambda: all(name.is_symlink() for name in names))
        killed.kill()
    (begun,) = (name for name in names if int(name.readlink().name) != killed.pid)
    stat = Path("/proc") / begun.readlink() / "stat"
    wait(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_no_process_of_a_report_has_threads_of_blas() -> None:
    program = (
        "import sys, query.commands.ask\n"
        "print('numpy' in sys.modules)\n"
        "from query.processes.helpers import Helpers\n"
        "with Helpers(2):\n"
        "    import numpy, threadpoolctl\n"
        "    print([pool['num_threads'] for pool in threadpoolctl.threadpool_info()])\n"
    )
    variables = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines() == ["False", "[1]"]


def test_several_processes_share_threads_and_memory(store_path: Path) -> None:
    with query.connect(store_path) as connection, Helpers(2) as helpers:
        connection.execute("SET threads = 3; SET memory_limit = '1GiB'")
        threads = torch.get_num_threads()
        run_tasks(connection, [], nothing, helpers)
        assert read_settings(connection) == (3, "1.0 GiB", threads)
        found: list[object] = []

        def then(task: Task, outcome: Outcome) -> Iterable[Task]:
            found.append(outcome.value)
            return []

        run_tasks(connection, [Task(0, "", read_settings)], then, helpers)
    assert found == [(max(1, threads // 2), "512.0 MiB", max(1, threads // 2))]


def test_what_shares_stays_together_until_there_is_nothing_else() -> None:
    agenda = Agenda(
        [Task(near + number, near, touch) for near in ("a", "b") for number in "123"], nothing
    )
    taken = []
    for who in (0, 1, 0, 1, 1, 1):
        task = agenda.take(who)
        assert task is not None
        taken.append(task.place)
        agenda.finish(task, Outcome(None, 0.0))
    assert taken == ["a1", "b1", "a2", "b2", "b3", "a3"]
    assert agenda.take(0) is None


def test_a_task_that_fails_ends_all(store_path: Path) -> None:
    with (
        query.connect(store_path) as connection,
        pytest.raises(ZeroDivisionError, match="division by zero"),
    ):
        run_tasks(connection, [Task(0, "", divide)], nothing)


def assert_same(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Require equal rows, but for the rounding of sums that threads share."""
    assert len(rows) == len(others) > 0
    for row, other in zip(rows, others, strict=True):
        numbers = {name: value for name, value in other.items() if isinstance(value, float)}
        assert row | numbers == other
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-9, abs=1e-9)


def divide(connection: duckdb.DuckDBPyConnection) -> float:
    return 1 / 0


def test_a_store_that_may_be_written_is_for_this_process_alone(tmp_path: Path) -> None:
    with query.connect(":memory:", read_only=False) as connection:
        tasks = [Task(0, "a", touch, (tmp_path / "a",)), Task(1, "b", touch, (tmp_path / "b",))]
        found = []

        def then(task: Task, outcome: Outcome) -> list[Task]:
            found.append(outcome.value)
            return []

        with Helpers(2) as helpers:
            run_tasks(connection, tasks, then, helpers)
    assert found == [os.getpid()] * 2
    assert fitting_processes() >= 1


@pytest.mark.parametrize("stated", [None, "3"])
def test_processes_that_share_the_cores_have_one_thread_of_blas(
    monkeypatch: pytest.MonkeyPatch, stated: str | None
) -> None:
    name = "OPENBLAS_NUM_THREADS"
    monkeypatch.setenv(name, stated) if stated else monkeypatch.delenv(name, raising=False)
    with Helpers(1):
        assert os.environ.get(name) == stated
    with Helpers(2) as helpers:
        assert os.environ[name] == (stated or "1")
        (helper,) = helpers.each
        environment = Path(f"/proc/{helper._process.pid}/environ")
        wait(lambda: name.encode() in environment.read_bytes())  # until then it is being started
        assert f"{name}={stated or 1}".encode() in environment.read_bytes().split(b"\0")
    assert os.environ.get(name) == stated
