"""A disk that is full or read-only loses nothing, and the next start continues."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ingest.layout import Layout
from ingest.runs import load as loading
from ingest.runs.check import Counts
from ingest.runs.folder import Run
from ingest.runs.store.access import open_store
from ingest.systems.materialize import materialize
from matterzoo import main
from schemas.store import connect
from tests.ingest.stores import molecules

Contents = Callable[[Path], dict[str, list[str]]]
Fill = Callable[[Path, int], Path]
Said = pytest.CaptureFixture[str]


@pytest.mark.parametrize("command", [["ingest", "toy", "g2", "--runtime", "venv"], ["rebuild"]])
def test_a_file_system_that_is_read_only(
    command: list[str],
    layout: Layout,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(small_disk / "matter.duckdb"))
    (small_disk / "matter.data").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(command) == 1
    said = capfd.readouterr().err
    assert (
        said.count("\n") == 1
        and f"Read-only file system. The store {small_disk}/matter.duckdb" in said
    )


def test_a_disk_that_is_full_once_a_run_is_committed(
    layout: Layout,
    small_disk: Path,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
    contents: Contents,
) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(small_disk / "matter.duckdb"))
    Path("v.csv").write_text("system_id,a,b\nFe,1,2\nCu,3,4\n")
    give = ["ingest", "mine", "elements", "--vectors", "v.csv"]
    put = loading.put_finished_run

    def put_and_fill(connection: duckdb.DuckDBPyConnection, place: Layout, run: Run) -> Counts:
        counts = put(connection, place, run)
        fill(small_disk, 0)
        return counts

    with monkeypatch.context() as patch:
        patch.setattr(loading, "put_finished_run", put_and_fill)
        assert main(give) == 2
    said = capfd.readouterr().err
    assert (
        f"the change of {small_disk}/matter.duckdb is committed and safe in matter.duckdb.wal"
        in said
    )
    assert "No space left" in said and "as it was" not in said and said.count("\n") == 1
    make_room(small_disk)
    rows = contents(small_disk / "matter.duckdb")
    assert len(rows["embeddings"]) == 2
    assert main(give) == 0
    said = capfd.readouterr().out
    assert "which was cut off" in said and "stored already" in said
    assert contents(small_disk / "matter.duckdb") == rows


def test_a_list_continues_although_a_disk_is_full(
    layout: Layout, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(small_disk / "matter.duckdb"))
    monkeypatch.setenv("TOY_FILL", str(small_disk))
    command = [
        "ingest",
        "toy,toy-picky,toy-potential",
        "elements",
        "--limit",
        "9",
        "--runtime",
        "venv",
    ]
    assert main(command) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and said.count("o space left") >= 3
    assert (
        "3 of 3 models failed: toy, toy-picky, toy-potential. "
        "`matterzoo ingest toy,toy-picky,toy-potential" in said
    )
    monkeypatch.delenv("TOY_FILL")
    make_room(small_disk)
    assert main(command) == 0


def test_a_store_is_written_though_the_disk_of_its_data_folder_is_full(
    layout: Layout, small_disk: Path, fill: Fill
) -> None:
    """A run that ended on a full disk is recorded in the store, which may be on another disk."""
    layout.data.symlink_to(small_disk)
    fill(small_disk, 0)
    with open_store(layout) as connection:
        connection.execute("INSERT INTO scores VALUES ('m', 'mae', 1, 'eV', 'here', 'a paper')")
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchall() == [(1,)]


def make_room(disk: Path) -> None:
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def test_a_disk_that_fills_up_while_a_dataset_is_made(small_disk: Path, fill: Fill) -> None:
    filler = fill(small_disk, 40_000)
    made = molecules(2000)
    with pytest.raises(OSError, match="No space left on device"):
        materialize(made, small_disk / "many")
    assert [file for file in small_disk.iterdir() if file != filler] == []
    filler.unlink()
    assert materialize(made, small_disk / "many").n_systems == 2000


@pytest.mark.parametrize("left", [0, 40_000])
def test_a_dataset_that_cannot_be_written_leaves_no_file_open(
    small_disk: Path, fill: Fill, left: int
) -> None:
    """Otherwise the space of what is removed would still be taken."""
    fill(small_disk, left)
    with pytest.raises(OSError, match="No space left on device") as kept:
        materialize(molecules(2000), small_disk / "many")
    # Refused while a file is open for writing, as by the frames that an error holds on to.
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert kept.tb is not None
