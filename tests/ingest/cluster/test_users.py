"""Two users of the cluster, neither of them root, work on the same store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.layout import Layout
from tests.ingest.cluster.conftest import SCRIPT, Cluster, ask, slurm, vectors, wait_for
from zoo.places import ROOT

pytestmark = pytest.mark.cluster
ANNA, BERT = "daemon", "games"  # users that every Debian has
ON_SLURM = ("--batch", "1", "--on", "slurm", "--sbatch=--nodelist=n1")
CARRIED = ("PATH", "LANG", "SLURM_CONF", "MATTERZOO_FILE_WAIT", "TOY_SLEEP")


@dataclass
class Shared:
    """A folder that two users share."""

    cluster: Cluster
    folder: Path

    def run(self, user: str, *words: str, code: int = 0) -> str:
        """Run a command of matterzoo; return what it prints."""
        variables = {name: os.environ[name] for name in CARRIED if name in os.environ}
        variables |= {
            "HOME": "/nowhere",
            "MATTERZOO_ENVS": str(self.folder / "toy" / "envs"),
            "MATTERZOO_FAMILIES": str(self.folder / "toy" / "zoo"),
            "MATTERZOO_STORE": str(self.cluster.layout.store),
            "MATTERZOO_WORKER_ENV": "TOY_*",
            "PYTHONPATH": str(ROOT),
        }
        command = [str(SCRIPT), "as", str(self.cluster.folder), user]
        command += [sys.executable, "-m", "matterzoo", *words]
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(  # as from a shell whose umask keeps files to their user
            command, env=variables, cwd=self.folder, umask=0o022, text=True, check=False, **piped
        )
        assert done.returncode == code, done.stdout
        return str(done.stdout)


@pytest.fixture
def shared(cluster: Cluster, toy_folder: Path) -> Iterator[Shared]:
    """A folder that is prepared as docs/slurm.md says, with the toy family in it."""
    with tempfile.TemporaryDirectory(prefix="shared-") as name:
        folder = Path(name)
        shutil.copytree(toy_folder, folder / "toy", symlinks=True)
        (folder / "toy").chmod(0o755)
        shutil.chown(folder, group="users")
        folder.chmod(0o2775)
        found = Shared(Cluster(cluster.folder, Layout(folder / "matter.duckdb")), folder)
        yield found
        for job in found.cluster.live:
            subprocess.run(["scancel", str(job.job_id)], check=False)


def test_what_one_begins_the_other_continues(
    shared: Shared,
    molecules: Callable[[int], str],
    local_vectors: Callable[..., list[tuple[object, ...]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, file = shared.cluster, shared.folder / "molecules.extxyz"
    shutil.copy(molecules(120), file)
    monkeypatch.setenv("TOY_SLEEP", "2")  # in all far longer than what BERT asks meanwhile takes
    line = ["ingest", "toy", str(file), *ON_SLURM]
    shared.run(ANNA, *line)
    wait_for(lambda: at_work(cluster))
    assert_only_its_user_cancels(shared)
    assert "1 chunk in jobs that are not over" in shared.run(BERT, *line)
    assert "is canceled" in shared.run(ANNA, "cancel")
    cluster.wait()
    shared.run(BERT, *line[:-1], "--sbatch=--nodelist=n2")
    wait_for(lambda: at_work(cluster))
    assert re.search(r"\d shards? from earlier starts", cluster.log("task-0"))
    lose_node(cluster)
    monkeypatch.delenv("TOY_SLEEP")
    line[1] = "toy,toy-picky"
    shared.run(ANNA, *line)
    cluster.wait()
    assert "2 loaded" in cluster.log("load")
    line[1] = "toy-potential"
    shared.run(BERT, *line)
    cluster.wait()
    assert "1 loaded" in cluster.log("load")
    assert {path.owner() for path in cluster.layout.data.rglob("*")} == {ANNA, BERT}
    shared.run(BERT, "clean", "--submissions", "all", "--yes")
    found = vectors(cluster.layout.store)
    assert found == local_vectors("toy,toy-picky,toy-potential", str(file))


def at_work(cluster: Cluster) -> list[Path]:
    """What workers leave while they are at a system, and when they are killed at it."""
    return list(cluster.layout.runs.glob("*/out/current.json"))


def lose_node(cluster: Cluster) -> None:
    """Kill all that runs on n2, so that it leaves its files as they are, and cancel it."""
    slurm("node-kill", str(cluster.folder), "n2")
    ask("scancel", str(cluster.submissions[-1].jobs["array"]))
    slurm("node-start", str(cluster.folder), "n2")
    cluster.wait()
    assert at_work(cluster)


def assert_only_its_user_cancels(shared: Shared) -> None:
    (submission,) = shared.cluster.submissions
    array = f"array {submission.jobs['array']}"
    said = shared.run(BERT, "status")
    assert f"{array} of 1 task, " in said
    assert f"of user {ANNA}" in said
    assert f"{array} is {ANNA}'s and goes on" in shared.run(BERT, "cancel")
    said = shared.run(BERT, "cancel", submission.name, code=1)
    named = f"job {submission.jobs['array']} is {ANNA}'s; {ANNA}, or an operator of Slurm"
    assert f"error: {named}, can cancel it" in said


@pytest.fixture
def hidden(cluster: Cluster) -> Iterator[None]:
    """Have Slurm show users no jobs of others."""
    file = cluster.folder / "slurm.conf"
    before = file.read_text()
    file.write_text(f"{before}PrivateData=jobs\n")
    ask("scontrol", "reconfigure")
    yield
    file.write_text(before)
    ask("scontrol", "reconfigure")


@pytest.mark.usefixtures("hidden")
def test_jobs_that_slurm_does_not_show_are_not_taken_for_over(
    shared: Shared, molecules: Callable[[int], str]
) -> None:
    file = shared.folder / "molecules.extxyz"
    shutil.copy(molecules(3), file)
    line = ["ingest", "toy", str(file), "--on", "slurm", "--sbatch=--hold"]
    shared.run(ANNA, *line)
    (submission,) = shared.cluster.submissions
    said = shared.run(BERT, *line)
    assert f"{submission.name} is {ANNA}'s, whose jobs Slurm does not show you" in said
    assert "1 chunk in jobs that are not over\nnothing to submit" in said
    assert f"{ANNA}'s jobs are not shown to you" in shared.run(BERT, "status")
    clean = ["clean", "--submissions", submission.name]
    assert f"whether {ANNA} has a job left, Slurm does" in shared.run(BERT, *clean, code=2)
    jobs = submission.jobs
    shared.run(BERT, *clean, "--yes")
    ask("scancel", *map(str, jobs.values()))
    assert "1 chunk to compute" in shared.run(BERT, *line)


def test_a_folder_that_is_not_shared_is_said_to_be_its_owner_s(
    shared: Shared, molecules: Callable[[int], str]
) -> None:
    shutil.copy(molecules(3), shared.folder / "molecules.extxyz")
    shutil.chown(shared.folder, user=ANNA)
    shared.folder.chmod(0o755)
    line = ["ingest", "toy", "molecules.extxyz"]
    shared.run(ANNA, *line)
    said = shared.run(BERT, "ingest", "toy-picky", *line[2:], code=1)
    assert f"is {ANNA}'s, and this is {BERT}; for users who share a store, see docs" in said
