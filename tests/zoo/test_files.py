"""Files and folders appear whole or not at all; a lock is held by one process or by readers."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from zoo.files import (
    LockHeldError,
    describe_process,
    file_lock,
    is_disk_full,
    move_unless_exists,
    remove_leftovers,
    rename_durably,
    write_atomically,
    write_folder_atomically,
)

HOLD = """
import sys, time
from pathlib import Path
from zoo.files import file_lock
with file_lock(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""
UNUSED_PID = 2**22 + 1  # above the largest that Linux gives


@contextmanager
def holder(path: Path, kind: str = "alone") -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock."""
    start = [sys.executable, "-c", HOLD, str(path), kind]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill_and_fail(path: Path) -> NoReturn:
    path.write_text("half")
    raise RuntimeError("midway")


# --- files ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize(
    "content", ["Å", "Å".encode(), lambda path: path.write_text("Å", encoding="utf-8")]
)
def test_a_file_is_written(tmp_path: Path, content: str, durable: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    write_atomically(path, content, durable=durable)
    assert path.read_text(encoding="utf-8") == "Å"
    assert names(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"):
        write_atomically(path, fill_and_fail)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_file_keeps_its_name_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append((path.read_text(), temporary.parent, temporary != path))

    write_atomically(path, write)
    assert seen == [("old", tmp_path, True)]
    assert path.read_text() == "new"


def test_a_rename_replaces_and_a_move_unless_exists_does_not(tmp_path: Path) -> None:
    new, path = tmp_path / "new", tmp_path / "path"
    for found, expected in ((True, "1"), (False, "1")):
        new.write_text("1" if found else "2")
        assert move_unless_exists(new, path) is found
        assert path.read_text() == expected
    new.write_text("3")
    rename_durably(new, path)
    assert path.read_text() == "3"
    assert names(tmp_path) == ["path"]


def test_a_full_disk_is_told_from_other_errors() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, "full"))
    assert is_disk_full(OSError(errno.EDQUOT, "over quota"))
    assert not is_disk_full(OSError(errno.EACCES, "not yours"))
    assert not is_disk_full(ValueError("no OSError"))


# --- folders --------------------------------------------------------------------------------------
def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "data"
    for content in ("old", "new"):
        with write_folder_atomically(folder) as new:
            (new / content).write_text(content)
        assert names(folder) == [content]
    assert names(tmp_path / "above") == ["data"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with write_folder_atomically(folder) as new:
        (new / "old").touch()
    with pytest.raises(RuntimeError, match="midway"), write_folder_atomically(folder) as new:
        fill_and_fail(new / "half")
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["data"]


def test_what_a_killed_process_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    lives, dead, other = (
        f".a.json.{os.getpid()}-0.tmp",
        f".a.json.{UNUSED_PID}-0.tmp",
        ".notes.tmp",  # not written by this project
    )
    for name in (lives, dead, f".a.json.{UNUSED_PID}.tmp", other):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([lives, other])


def test_files_of_other_hosts_are_no_leftovers_until_they_are_old(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.touch()
        assert path.name.endswith(f"-{host}.tmp")

    host = re.sub(r"\W", "_", socket.gethostname())
    write_atomically(tmp_path / "a.json", write)
    here = f".a.json.{UNUSED_PID}-0-{host}.tmp"
    new, old = (f".a.json.{UNUSED_PID}-{n}-other_host-7.tmp" for n in range(2))
    for name in (here, new, old):
        (tmp_path / name).touch()
    a_week_ago = time.time() - 7 * 24 * 3600
    os.utime(tmp_path / old, (a_week_ago, a_week_ago))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([new, "a.json"])


def test_a_folder_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    left, lives = tmp_path / ".data.1-0.tmp", tmp_path / ".data.2-0.tmp"
    for folder in (left, lives):
        folder.mkdir()
        (folder / ".lock").touch()
    with holder(lives / ".lock"), write_folder_atomically(tmp_path / "data"):
        assert not left.exists()
        assert lives.exists()
    assert names(tmp_path) == [".data.2-0.tmp", "data"]


# --- locks ----------------------------------------------------------------------------------------
def test_a_lock_is_held_by_one_process_which_the_error_names(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path) as process:
        with (
            pytest.raises(LockHeldError, match=rf"by process {process.pid} \(.*-c") as error,
            file_lock(path, wait=0),
        ):
            pass
        assert error.value.path == path
        assert error.value.holder.startswith(f"process {process.pid} (")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with file_lock(path, wait=0):  # a killed process holds nothing
            assert path.read_text() == f"{os.getpid()} {socket.gethostname()}"


def test_a_lock_is_waited_for_and_the_wait_is_said_once(tmp_path: Path) -> None:
    path, told = tmp_path / ".lock", list[str]()
    with holder(path) as process:
        begin = time.monotonic()
        with pytest.raises(LockHeldError), file_lock(path, wait=0.3, on_wait=told.append):
            pass
        assert time.monotonic() - begin >= 0.3
        end = ["sh", "-c", f"sleep 0.3; kill -KILL {process.pid}"]
        with subprocess.Popen(end), file_lock(path, on_wait=told.append):
            pass
    assert len(told) == 2
    assert all(who.startswith(f"process {process.pid} (") for who in told)


def test_a_shared_lock_is_held_by_several_and_by_none_alone(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with (
        holder(path, "shared"),
        file_lock(path, shared=True, wait=0),
        pytest.raises(LockHeldError, match="by another process"),
        file_lock(path, wait=0),
    ):
        pass


def test_a_holder_on_another_machine_is_named_with_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path):
        path.write_text("17 far-away")
        with pytest.raises(LockHeldError, match="process 17 on far-away"), file_lock(path, wait=0):
            pass


def test_a_folder_can_be_locked(tmp_path: Path) -> None:
    with (
        holder(tmp_path),
        pytest.raises(LockHeldError, match="another process"),
        file_lock(tmp_path, wait=0),
    ):
        pass
    assert names(tmp_path) == []


def test_a_lock_in_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"), file_lock(tmp_path / "gone" / ".lock"):
        pass


def test_processes_are_named() -> None:
    assert describe_process(str(os.getpid())).startswith(f"process {os.getpid()} (")
    assert describe_process(str(UNUSED_PID), "duckdb") == f"process {UNUSED_PID} (duckdb)"
