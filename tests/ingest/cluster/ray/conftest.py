"""A real Ray of two nodes on this host, and what tests do with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.executors.shared.submission import Submission, list_submissions
from ingest.layout import Layout
from ingest.runs.folder import Run

SCRIPT = Path(__file__).with_name("ray.sh")
# Of the command's own connection, as the nodes have it: a head that is lost is known soon.
SOON = {"RAY_gcs_rpc_server_reconnect_timeout_s": "10"}


def ray(*words: str) -> str:
    done = subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def install(folder: Path) -> None:
    done = subprocess.run(
        [str(SCRIPT), "install", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        why = " ".join(done.stderr.split())[-300:]
        pytest.skip(f"no Ray can be installed here: {why}; then `make test-cluster`")


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """Install and start Ray; yield its folder."""
    missing = ray("missing")
    if missing:
        pytest.skip(f"no Ray can be started here: {missing}; then `make test-cluster`")
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets need a short path
    try:
        install(folder)
        ray("start", str(folder))
        yield folder
    finally:
        ray("stop", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Cluster:
    """Ray, for one store."""

    folder: Path
    layout: Layout

    @property
    def submission(self) -> Submission:
        """The latest submission."""
        return list(list_submissions(self.layout))[-1]

    @property
    def variables(self) -> dict[str, str]:
        variables = os.environ | SOON
        variables["RAY_ADDRESS"] = (self.folder / "address").read_text().strip()
        variables["RAY_AUTH_TOKEN_PATH"] = str(self.folder / "token")
        return variables

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of matterzoo in the environment that has Ray."""
        program = [str(self.folder / "venv/bin/python"), "-m", "matterzoo", *words]
        return subprocess.Popen(
            program, env=self.variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def ingest(self, *words: str, code: int = 0) -> str:
        """Have Ray compute; return what is said."""
        with self.start("ingest", *words, "--on", "ray") as process:
            said = process.communicate(timeout=300)[0]
        assert process.returncode == code, said
        return said

    def log(self, task: int) -> str:
        path = self.submission.folder / "logs" / f"task-{task}.log"
        return path.read_text() if path.exists() else ""

    def task_on(self, node: str) -> int | None:
        """Return a task that has started on a node and is at a system."""
        for number, runs in enumerate(self.submission.tasks):
            begun = any((run.out / "current.json").exists() for run in runs)
            if begun and f", on {node}" in self.log(number):
                return number
        return None

    def run_of(self, task: int) -> Run:
        (run,) = self.submission.tasks[task]
        return run


@pytest.fixture
def cluster(ray_folder: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Give Ray to a test."""
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "2")
    return Cluster(ray_folder, layout)


PROGRAMS = """
import json, sys, time
from pathlib import Path
from ingest.executors.ray.engine import Ray
takes, programs, log = json.loads(sys.argv[1])
ended = []
with Ray(None, takes, Path(log, "ray.log")) as ray:
    began = time.monotonic()
    for number, program in enumerate(programs):
        ray.start(number, program, {}, Path(log, f"{number}.log"))
    while len(ended) < len(programs):
        event = ray.next(120.0)
        ended.append([event["task"], event["fault"], time.monotonic() - began])
print(json.dumps(ended))
"""


def run_programs(cluster: Cluster, takes: dict[str, float], programs: list[list[str]]) -> list[str]:
    """Have Ray run programs, without a store; return what each of them printed."""
    assert {fault for _, fault, _ in end_programs(cluster, takes, programs)} == {None}
    log = cluster.layout.store.parent
    return [(log / f"{number}.log").read_text() for number in range(len(programs))]


def end_programs(
    cluster: Cluster, takes: dict[str, float], programs: list[list[str]]
) -> list[tuple[int, str | None, float]]:
    """Have Ray run programs; return the number of each, what ended it, and when."""
    log = cluster.layout.store.parent
    given = json.dumps([takes, programs, str(log)])
    python = str(cluster.folder / "venv/bin/python")
    done = subprocess.run(
        [python, "-c", PROGRAMS, given], env=cluster.variables, check=False,
        stdout=subprocess.PIPE, stderr=sys.stderr, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    ended = [(number, fault, seconds) for number, fault, seconds in json.loads(done.stdout)]
    assert sorted(number for number, _, _ in ended) == list(range(len(programs)))
    return ended
