"""Whatever goes wrong while a model runs, the message and the row of `runs` say what it was.

The next start continues from what is done. Processes, memory limits and full disks are real.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.runs.folder import Run, list_runs
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Fill = Callable[[Path, int], Path]
Said = pytest.CaptureFixture[str]
XYZ = '2\nname="m{number:03}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 {length}\n'
GROUPS = Path("/sys/fs/cgroup")


@pytest.fixture
def molecules(layout: Layout) -> str:
    """A file of 40 small molecules."""
    file = layout.store.with_name("molecules.extxyz")
    file.write_text("".join(XYZ.format(number=i, length=0.7 + i / 1000) for i in range(40)))
    return str(file)


@pytest.fixture
def pid_file(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the worker writes its process id once it has loaded."""
    monkeypatch.setenv("TOY_PID", str(layout.store.with_name("pid")))
    return layout.store.with_name("pid")


@pytest.fixture
def confined(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers get 200 MB of memory from the kernel."""
    # version 1 of the kernel's control groups
    first = (GROUPS / "memory" / "memory.limit_in_bytes").exists()
    group = (GROUPS / "memory" if first else GROUPS) / f"matterzoo-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(200 * 2**20))
    except OSError as error:
        pytest.skip(
            f"only root on Linux may limit memory ({error}): sudo .venv/bin/python -m pytest …"
        )
    monkeypatch.setenv("TOY_CGROUP", str(group))
    yield
    wait_for(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Return whether a process has not ended; one that nobody has waited for has."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return state.stdout.strip()[:1] not in ("", "Z")


def rows(layout: Layout, columns: str) -> list[tuple[object, ...]]:
    with connect(layout.store, read_only=True) as connection:
        return connection.execute(f"SELECT {columns} FROM runs").fetchall()


def run_again(layout: Layout, molecules: str) -> None:
    """Assert that the same command, with nothing in its way, brings all to the store."""
    assert main(["ingest", "toy", molecules, "--runtime", "venv"]) == 0
    assert rows(layout, "status, reason, runtime, image, sent, ok") == [
        ("ok", None, "venv", None, 40, 40)
    ]


def test_a_host_that_is_killed_leaves_no_worker_behind(
    layout: Layout, molecules: str, pid_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "0.5")
    command = [sys.executable, "-m", "matterzoo", "ingest", "toy", molecules, "--runtime", "venv"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as host:
        wait_for(lambda: pid_file.exists() and pid_file.read_text() != "")
        time.sleep(0.75)  # into the first batches
        host.kill()
    wait_for(lambda: not is_running(int(pid_file.read_text())))
    (run,) = list_runs(layout)
    assert len(run.shards) == 1 and not run.finished
    monkeypatch.delenv("TOY_SLEEP")
    run_again(layout, molecules)
    assert "of 40 systems that an earlier start finished" in capfd.readouterr().err
    assert run.finished and run.shards == []


def test_a_worker_that_hangs_is_ended(
    layout: Layout, molecules: str, pid_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "600")
    assert main(["ingest", "toy", molecules, "--runtime", "venv", "--timeout", "5"]) == 1
    assert not is_running(int(pid_file.read_text()))
    said = "no sign of life for 5 s: counted as hung and ended; --timeout allows more"
    assert capfd.readouterr().err.count(said) == 1
    ((status, reason, sent, ok),) = rows(layout, "status, reason, sent, ok")
    assert (status, sent, ok) == ("failed", 40, 0) and said in str(reason)
    monkeypatch.delenv("TOY_SLEEP")
    run_again(layout, molecules)


def test_where_memory_runs_out_a_smaller_budget_is_tried(
    layout: Layout, molecules: str, confined: None, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.setenv("TOY_MEGABYTES", "60")  # a system; the card's budget is 8
    run_again(layout, molecules)
    lines = [
        line.strip() for line in capfd.readouterr().out.splitlines() if "memory ran out" in line
    ]
    goes_on = "toy: memory ran out: continuing from the finished shards with half the batch budget"
    assert lines == [f"{goes_on}, {budget}" for budget in (4, 2)]


def test_memory_that_is_too_little_for_one_system(
    layout: Layout, molecules: str, confined: None, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.setenv("TOY_MEGABYTES", "300")
    assert main(["ingest", "toy", molecules, "--runtime", "venv", "--batch", "2"]) == 1
    said = capfd.readouterr()
    assert said.out.count("memory ran out: ") == 1
    assert "killed by the kernel because this machine's memory ran out" in said.err
    assert "The batch budget is 1 already. More memory may help (--memory" in said.err
    assert rows(layout, "status, sent, ok, failed") == [("failed", 40, 0, 0)]
    monkeypatch.setenv("TOY_MEGABYTES", "1")
    run_again(layout, molecules)


def test_a_worker_that_is_killed_by_someone_begins_again(
    layout: Layout, molecules: str, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    kill = layout.store.with_name("kill")
    kill.write_text("10")
    monkeypatch.setenv("TOY_KILL", str(kill))
    run_again(layout, molecules)
    said = capfd.readouterr().out
    assert "the worker was killed from outside, maybe for its memory: continuing from the " in said
    assert "finished shards with half the batch budget" in said


def test_systems_that_are_too_large_are_failures_and_the_others_get_vectors(
    layout: Layout, molecules: str, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    with Path(molecules).open("a") as file:
        for atoms in (30, 20, 9):
            lines = "".join(f"H 0 0 {i}\n" for i in range(atoms))
            file.write(f'{atoms}\npbc="F F F" Properties=species:S:1:pos:R:3\n{lines}')
    monkeypatch.setenv("TOY_LARGE", "10")
    assert main(["ingest", "toy", molecules, "--runtime", "venv", "--batch", "2"]) == 0
    said = capfd.readouterr().out
    for name, atoms in (("41", 20), ("40", 30)):
        killed = f"worker was killed at molecules/{name} ({atoms} atoms)"
        assert f"the {killed}: beginning with it in a new one" in said
        assert f"a second {killed}: it is recorded as failed" in said
    assert rows(layout, "status, sent, ok, failed") == [("ok", 43, 41, 2)]
    with connect(layout.store, read_only=True) as connection:
        failed = connection.execute(
            "SELECT system_id, reason FROM failures WHERE model_id = 'toy' ORDER BY 1"
        ).fetchall()
        done = connection.execute(
            "SELECT count(*) FROM embeddings WHERE system_id = 'molecules/42'"
        ).fetchall()
    assert [name for name, _ in failed] == ["molecules/40", "molecules/41"] and done == [(1,)]
    assert failed[0][1] == (
        "the worker was killed twice while it embedded this system alone (30 atoms): "
        "it needs more memory than there is. With more, `matterzoo clean toy molecules` "
        "and embed it again"
    )


def test_an_environment_that_cannot_be_built_is_a_failed_run(
    layout: Layout, molecules: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MATTERZOO_ENVS", str(tmp_path / "envs"))
        patch.setenv("UV_OFFLINE", "1")
        patch.setenv("UV_NO_CACHE", "1")
        patch.setenv("UV_FIND_LINKS", str(tmp_path))
        assert main(["ingest", "toy,toy-picky", molecules, "--runtime", "venv"]) == 1
    assert "the environment of toy could not be made ready, see above" in capfd.readouterr().err
    found = rows(
        layout,
        "model_id, status, runtime, "
        "starts_with(reason, 'the environment of toy could not be built.')",
    )
    assert sorted(found) == [("toy", "failed", "venv", True), ("toy-picky", "failed", "venv", True)]


def test_a_disk_that_fills_up_during_a_run(
    layout: Layout, molecules: str, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    there = on(small_disk, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setenv("TOY_FILL", str(small_disk))
        assert main(["ingest", "toy", molecules, "--runtime", "venv"]) == 1
    said = capfd.readouterr()
    assert said.err.count("error: ") == 1 and "no space left" in said.err
    assert said.out.count("(this failure is not in the table runs: ") == 1
    (small_disk / "filler").unlink()
    run_again(there, molecules)


def test_a_disk_that_is_full_before_anything(
    layout: Layout,
    molecules: str,
    small_disk: Path,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    there = on(small_disk, monkeypatch)
    filler = fill(small_disk, 0)
    assert main(["ingest", "toy", molecules, "--runtime", "venv"]) == 1
    said = capfd.readouterr().err
    assert (
        said.count("\n") == 1
        and said.startswith("error: ")
        and f"the disk of {there.data}, then repeat" in said
    )
    filler.unlink()
    run_again(there, molecules)


def test_a_disk_without_room_for_the_store(
    layout: Layout,
    molecules: str,
    small_disk: Path,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    there = on(small_disk, monkeypatch)
    run_again(there, molecules)
    there.store.unlink()
    filler = fill(small_disk, 16_384)
    assert main(["ingest", "toy", molecules, "--runtime", "venv"]) == 1
    said = capfd.readouterr().err
    assert "no space left for" in said and "All vectors are computed: repeat the command" in said
    filler.unlink()
    run_again(there, molecules)


def on(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Return the layout of a store on another disk."""
    monkeypatch.setenv("MATTERZOO_STORE", str(disk / "matter.duckdb"))
    return Layout.find()
