"""A folder on MATTERZOO_FAMILIES is a family; nothing else has to change to run its models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.runs.folder import list_runs
from matterzoo import main
from schemas.store import connect
from zoo.places import environments

XYZ = '2\nname="{name}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\n{other} 0 0 {length}\n'


@pytest.fixture
def molecules(layout: Layout, tmp_path: Path) -> Callable[[int], Path]:
    """Write a user's file of so many small molecules; return its path."""

    def write(n: int) -> Path:
        file = tmp_path / "molecules.extxyz"
        entries = [
            XYZ.format(name=f"m{i:04}", other="HCNOF"[i % 5], length=0.7 + i / 1000)
            for i in range(n)
        ]
        file.write_text("".join(entries))
        return file

    return write


def count(layout: Layout, table: str = "embeddings") -> int:
    with connect(layout.store, read_only=True) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def test_from_a_folder_to_the_store(layout: Layout, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", "toy,toy-picky", "elements", "--representation", "all"]) == 0
    said = capfd.readouterr().out
    assert "runtime venv: " in said.splitlines()[0]
    assert "to compute: 142 vectors by 2 models" in said
    assert (
        "failed, 1 times: ValueError: no iron today" in said
        or "failed, 2 times: ValueError: no iron today" in said
    )
    assert "not_applicable, 2 times: the model does not know" in said
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT e.vector, s.numbers, s.positions "
        query += "FROM embeddings AS e JOIN systems AS s USING (system_id) "
        rows = connection.execute(
            query + "WHERE model_id = 'toy' AND representation = 'nodes'"
        ).fetchall()
        query = "SELECT bool_and(sent = ok + failed + not_applicable), sum(sent) FROM runs"
        sums = connection.execute(query).fetchall()
    assert len(rows) == 70
    for vector, numbers, positions in rows:
        mean = [sum(numbers) / len(numbers)] + [
            sum(p[axis] for p in positions) / len(positions) for axis in (0, 1)
        ]
        assert vector == pytest.approx(mean, rel=1e-6, abs=1e-6)
    assert sums == [(True, 2 * 2 * 71)]
    assert main(["ingest", "toy", "elements", "--representation", "nodes:max", "--limit", "9"]) == 0
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT e.vector[1], list_max(s.numbers) FROM embeddings AS e "
        query += "JOIN systems AS s USING (system_id) WHERE representation = 'nodes:max'"
        rows = connection.execute(query).fetchall()
    assert len(rows) > 6 and all(found == expected for found, expected in rows)


def test_a_worker_is_given_no_secrets(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "NVIDIA_API_KEY",
        "PYPI_PASSWORD",
        "GITHUB_TOKEN",
        "SLURM_JWT",
    }
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TOY_SEEN", str(tmp_path / "seen"))
    assert main(["ingest", "toy", "elements", "--limit", "2"]) == 0
    seen = set((tmp_path / "seen").read_text().splitlines())
    assert not seen & {*secrets, "VIRTUAL_ENV", "MATTERZOO_STORE"}
    assert seen >= {"PATH", "OMP_NUM_THREADS", "HF_HUB_OFFLINE", "TOY_SEEN"}


def test_a_second_ingest_starts_no_worker(
    layout: Layout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["ingest", "toy", "elements", "--limit", "9"]) == 0
    before = layout.store.read_bytes()
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: pytest.fail("nothing is to be started")
    )
    assert main(["ingest", "toy", "elements", "--limit", "9"]) == 0
    assert main(["ingest", "toy", "elements", "--limit", "4"]) == 0
    assert "9 of 9 systems already stored; nothing to do" in capfd.readouterr().out
    assert layout.store.read_bytes() == before


def test_a_killed_worker_continues_from_its_shards(
    layout: Layout,
    molecules: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = str(molecules(1100))
    kill = layout.store.with_name("kill")
    kill.write_text("1050")
    monkeypatch.setenv("TOY_KILL", str(kill))
    assert main(["ingest", "toy", file]) == 0
    said = capfd.readouterr()
    killed = "killed from outside, maybe for its memory: continuing from the finished shards with"
    assert said.out.count(f"{killed} half") == 1
    assert "continuing from the 1024 of 1100 systems" in said.err
    (run,) = list_runs(layout)
    assert not kill.exists() and run.finished and run.shards == []
    assert count(layout) == 1100


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_worker_and_loses_nothing(
    how: signal.Signals,
    layout: Layout,
    molecules: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, pid_file = str(molecules(40)), layout.store.with_name("pid")
    monkeypatch.setenv("TOY_SLEEP", "0.5")
    monkeypatch.setenv("TOY_PID", str(pid_file))
    command = [sys.executable, "-m", "matterzoo", "ingest", "toy", file]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        pid = wait_for(pid_file)
        process.send_signal(how)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "interrupted; what is done is kept, and the same command goes on from there" in err
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.kill(pid, 0)
    assert not layout.store.exists()
    monkeypatch.delenv("TOY_SLEEP")
    assert main(["ingest", "toy", file]) == 0
    assert count(layout) == 40


def wait_for(file: Path) -> int:
    """Return the worker's process id as soon as the worker has written it."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.exists() and file.read_text():
            return int(file.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{file} did not appear")


def test_one_model_that_fails_does_not_stop_the_rest(
    layout: Layout, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "toy-broken,toy", "elements", "--limit", "3"]) == 1
    err = capfd.readouterr().err
    assert "error: toy-broken on elements: toy-broken could not be loaded: " in err
    assert "ValueError: broken on purpose" in err
    assert "error: 1 of 2 models failed: toy-broken" in err
    assert count(layout) == 3
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(
            "SELECT status, reason FROM runs WHERE model_id = 'toy-broken'"
        ).fetchall()
    assert rows == [("failed", "toy-broken could not be loaded: ValueError: broken on purpose")]


def test_a_run_that_could_not_be_loaded_is_loaded_without_a_worker(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "toy", "elements", "--limit", "3"]) == 0
    layout.store.unlink()
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: pytest.fail("nothing is to be started")
    )
    assert main(["ingest", "toy", "elements", "--limit", "3"]) == 0
    assert "computed by an earlier start" in capfd.readouterr().out
    assert count(layout) == 3


def test_environments_build_on_demand(layout: Layout, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "toy"]) == 0
    assert "toy: its environment is there and up to date" in capfd.readouterr().out
    assert environments().parent.joinpath("zoo", "toy").is_dir()
