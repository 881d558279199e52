"""A real Slurm on this host, and what tests do with it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.executors.shared.submission import Submission, job_names, list_submissions
from ingest.executors.slurm.engine import LiveJob, live_jobs
from ingest.layout import Layout
from matterzoo import main
from schemas.store import connect

SCRIPT = Path(__file__).with_name("slurm.sh")
PATIENCE = 150.0  # s that anything on the cluster may take on a loaded machine
XYZ = '2\nname="m{i:03}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{length}\n'


def slurm(*words: str) -> str:
    done = subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def wait_for(what: Callable[[], object], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def slurm_folder() -> Iterator[Path]:
    """Start Slurm; yield its folder, where it logs."""
    missing = slurm("missing")
    if missing:
        pytest.skip(f"no Slurm can be started here: {missing}; then `make test-cluster`")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        slurm("start", str(folder))
        yield folder
    finally:
        slurm("stop", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Cluster:
    """The cluster, for one store."""

    folder: Path
    layout: Layout

    @property
    def submissions(self) -> list[Submission]:
        return list(list_submissions(self.layout))

    @property
    def live(self) -> list[LiveJob]:
        return live_jobs(job_names(self.submissions))

    def ingest(self, *words: str, node: str = "n1", code: int = 0) -> None:
        """Submit; tests that disturb a node use one of their own."""
        line = ["ingest", *words, "--on", "slurm", f"--sbatch=--nodelist={node}"]
        assert main(line) == code

    def wait(self) -> None:
        wait_for(lambda: not self.live)

    def wait_for_state(self, state: str, load: bool = False) -> LiveJob:
        found: list[LiveJob] = []

        def seen() -> bool:
            found[:] = [j for j in self.live if j.state == state and load == (j.task is None)]
            return bool(found)

        wait_for(seen)
        return found[0]

    def log(self, name: str, number: int = -1) -> str:
        path = self.submissions[number].folder / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def lines(self, name: str, pattern: str) -> int:
        return len(re.findall(pattern, self.log(name)))


@pytest.fixture
def cluster(
    slurm_folder: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """Give the cluster to a test, whose jobs are canceled at its end."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_folder / "slurm.conf"))
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "2")
    found = Cluster(slurm_folder, layout)
    yield found
    for job in found.live:
        subprocess.run(["scancel", str(job.job_id)], check=False)


@pytest.fixture
def molecules(layout: Layout) -> Callable[[int], str]:
    """Return a function that writes a file of n molecules and returns its path."""

    def write(n: int) -> str:
        file = layout.store.with_name("molecules.extxyz")
        file.write_text("".join(XYZ.format(i=i, length=i + 700) for i in range(n)))
        return str(file)

    return write


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which every start of a model leaves a line."""
    monkeypatch.setenv("TOY_PIDS", str(tmp_path / "pids"))
    return tmp_path / "pids"


def vectors(store: Path) -> list[tuple[object, ...]]:
    """All vectors of a store, those of nodes, too, in order."""
    query = """
        SELECT model_id, representation, system_id, -1 AS node, vector FROM embeddings UNION ALL
        SELECT model_id, representation, system_id, node, vector FROM node_embeddings ORDER BY ALL
    """
    with connect(store, read_only=True) as connection:
        return connection.execute(query).fetchall()


def statuses(store: Path) -> list[tuple[object, ...]]:
    with connect(store, read_only=True) as connection:
        query = "SELECT model_id, status, ok FROM runs ORDER BY ALL"
        return connection.execute(query).fetchall()


@pytest.fixture
def local_vectors(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[tuple[object, ...]]]:
    """Return a function that embeds in this process, in a store of its own."""

    def embed(models: str, file: str, *options: str) -> list[tuple[object, ...]]:
        store = layout.store.with_name("local.duckdb")
        monkeypatch.delenv("TOY_SLEEP", raising=False)
        assert main(["ingest", models, file, *options, "--store", str(store)]) == 0
        return vectors(store)

    return embed
