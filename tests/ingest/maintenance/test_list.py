"""What keeps one model of a list from the store does not stop the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.executors import embed, local
from ingest.layout import Layout
from ingest.runs import pending
from ingest.runs.folder import lock_run
from ingest.runs.plan import Plan
from ingest.runs.store import waiting as patience
from ingest.runs.store.waiting import retry_while_locked
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.errors import StoreLocked
from schemas.store import connect

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Said = pytest.CaptureFixture[str]
HOLD = """
import duckdb, sys
held = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""
READ = """
import fcntl, random, sys, time
from pathlib import Path
store = open(sys.argv[1])
print("reading", flush=True)
while not Path(sys.argv[2]).exists():  # as DuckDB locks a store that is read
    fcntl.lockf(store, fcntl.LOCK_SH)
    time.sleep(random.uniform(0.03, 0.06))
    fcntl.lockf(store, fcntl.LOCK_UN)
    time.sleep(random.uniform(0.01, 0.02))
"""
XYZ = '2\nname="m{i}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{length}\n'


@pytest.fixture
def molecules(layout: Layout) -> str:
    """Write a file of three molecules; return its path."""
    file = layout.store.with_name("molecules.extxyz")
    file.write_text("".join(XYZ.format(i=i, length=i + 7) for i in range(3)))
    return str(file)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every wait for a store short."""
    for module in (patience, pending, local):
        monkeypatch.setattr(module, "PATIENCE", 0.3)
        monkeypatch.setattr(module, "SHORT_PATIENCE", 0.1, raising=False)


@contextmanager
def open_elsewhere(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Open the store in another process, as a notebook that does not close it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield process
        process.communicate()


def stored(layout: Layout) -> list[tuple[object, ...]]:
    with connect(layout.store, read_only=True) as connection:
        return connection.execute(
            "SELECT model_id, status, ok FROM runs ORDER BY model_id"
        ).fetchall()


def test_all_are_computed_while_a_notebook_is_open_and_named_with_the_command_that_loads_them(
    layout: Layout, molecules: str, short: None, capfd: Said
) -> None:
    connect(layout.store).close()
    arguments = [
        "ingest",
        "toy,toy-broken,toy-picky",
        molecules,
        "--runtime",
        "venv",
        "--batch",
        "2",
    ]
    with open_elsewhere(layout.store) as reader:
        assert main(arguments) == 1
    said = capfd.readouterr()
    assert (
        f"computed; it is loaded at the end, since {layout.store} is in use by process {reader.pid}"
        in said.out
    )
    for model_id in ("toy", "toy-picky"):
        assert f"error: the vectors of {model_id} are computed, and not in the store: " in said.err
    command = f"matterzoo ingest toy-broken,toy,toy-picky {molecules} --batch 2 --runtime venv"
    failed = "error: 3 of 3 models failed: toy-broken, toy, toy-picky"
    assert f"{failed}. `{command}` continues" in said.err
    assert "the failure of run toy-broken--" in said.out
    assert stored(layout) == []
    assert main(arguments) == 1  # toy-broken stays broken
    said = capfd.readouterr()
    assert said.out.count("computed by an earlier start") == 2
    assert "error: 1 of 3 models failed: toy-broken. " in said.err
    assert stored(layout) == [("toy", "ok", 3), ("toy-broken", "failed", 0), ("toy-picky", "ok", 3)]


def test_what_is_computed_is_loaded_as_soon_as_the_notebook_is_closed(
    layout: Layout, molecules: str, short: None, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    connect(layout.store).close()
    with open_elsewhere(layout.store) as reader:
        real, kept = pending.load, []

        def close_after_the_first(*given: object, **options: object) -> object:
            try:
                return real(*given, **options)  # type: ignore[arg-type]
            except StoreLocked:
                kept.append(given)
                reader.communicate()
                raise

        monkeypatch.setattr(pending, "load", close_after_the_first)
        assert main(["ingest", "toy,toy-picky", molecules, "--runtime", "venv"]) == 0
    assert len(kept) == 1
    assert stored(layout) == [("toy", "ok", 3), ("toy-picky", "ok", 3)]
    said = capfd.readouterr().out
    assert said.index("toy-picky: 3 ok") < said.index("toy: 3 ok")


def test_a_run_that_another_process_works_on_is_tried_again_and_does_not_stop_the_others(
    layout: Layout, molecules: str, dataset: Make, planned: Planned, short: None, capfd: Said
) -> None:
    assert main(["ingest", "toy", molecules, "--runtime", "venv"]) == 0
    made = dataset(4)
    run = planned(made, names=("nodes",)).run
    assert run is not None
    with lock_run(run), pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "prepare_dataset", lambda layout, found: made)
        assert main(["ingest", "toy,toy-picky", "elements", "--runtime", "venv"]) == 1
    said = capfd.readouterr()
    assert (
        f"toy: tried again after the others, since another process is working on run {run.run_id}"
        in said.out
    )
    assert (
        "error: 1 of 2 models failed: toy. `matterzoo ingest toy elements --runtime venv` continues"
        in said.err
    )
    assert [row[0] for row in stored(layout)] == ["toy", "toy-picky"]


def test_readers_that_open_and_close_all_the_time_do_not_keep_a_writer_out(
    layout: Layout, tmp_path: Path
) -> None:
    connect(layout.store).close()
    end = tmp_path / "end"
    command = [sys.executable, "-c", READ, str(layout.store), str(end)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for reader in readers:
            assert reader.stdout is not None and reader.stdout.readline() == b"reading\n"
        retry_while_locked(lambda: connect(layout.store), layout.store, 120.0).close()
    finally:
        end.touch()
        for reader in readers:
            reader.communicate()


def test_a_wait_in_vain_names_the_other_process(layout: Layout) -> None:
    connect(layout.store).close()
    said: list[str] = []
    with (
        open_elsewhere(layout.store) as reader,
        pytest.raises(StoreLocked, match=f"is in use by process {reader.pid}"),
    ):
        retry_while_locked(lambda: connect(layout.store), layout.store, 0.2, said.append)
    assert len(said) == 1 and said[0].startswith("waiting up to 0 s: ")
