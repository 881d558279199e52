"""A store that other processes use is waited for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.runs.store.waiting import retry_while_locked
from schemas.errors import StoreLocked
from schemas.store import connect
from tests.ingest.stores import open_elsewhere

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
