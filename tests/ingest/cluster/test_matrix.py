"""A matrix whose strips jobs of Slurm find has the bits of one that a query computes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest.executors.slurm.engine import LiveJob, live_jobs
from ingest.executors.slurm.strips import StripJobs, cancel_matrices, list_matrices
from matterzoo import main
from query.strips.parts import Parts
from tests.ingest.cluster.conftest import Cluster, slurm, wait_for
from tests.ingest.cluster.matrices import ask, make
from zoo.files import file_lock

pytestmark = pytest.mark.cluster
LAST = "pairs/0-0/0"  # a strip of the last kind: of the first pair of models
ANNA = "daemon"  # a user that every Debian has


@pytest.fixture
def line(cluster: Cluster) -> Iterator[list[str]]:
    """Give the command to a test, whose jobs are canceled at its end."""
    yield [*make(cluster.layout.store), "--on", "slurm", "--nodes", "2"]
    list(cancel_matrices(cluster.layout))


def test_strips_are_submitted_once_and_canceled(
    cluster: Cluster, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, f"--sbatch=--hold --uid={ANNA}"]) == 0
    assert "#SBATCH --array=0-1" in capsys.readouterr().out
    (jobs,) = list_matrices(cluster.layout)
    assert main(line) == 0
    assert "its strips are in jobs that are not over; nothing to do" in capsys.readouterr().out
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert f"matrix {jobs.key}: 0 of {jobs.total} strips found" in said
    assert "pending" in said
    job = live(jobs)[0].job_id
    assert main(["cancel"]) == 0
    assert f"matrix {jobs.key} is {ANNA}'s and goes on" in capsys.readouterr().out
    assert live(jobs)[0].job_id == job
    assert main(["cancel", jobs.key]) == 0
    assert f"matrix {jobs.key}: canceled" in capsys.readouterr().out
    wait_for(lambda: not live(jobs))


def test_a_node_is_lost_in_the_middle(
    cluster: Cluster, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, "--sbatch=--exclusive --exclude=n[3-4]"]) == 0
    (jobs,) = list_matrices(cluster.layout)
    try:
        with file_lock(Parts(jobs.folder).lock(LAST)):  # so that no machine is too fast for us
            wait_for(lambda: jobs.found > 0 and "n2" in {job.node for job in live(jobs)})
            slurm("node-kill", str(cluster.folder), "n2")
            assert jobs.found < jobs.total
        wait_for(lambda: not live(jobs))
    finally:
        slurm("node-start", str(cluster.folder), "n2")
    assert jobs.is_kept, (jobs.folder / "logs" / "load.log").read_text()
    found, products = ask(cluster.layout.store)
    assert products == 0
    capsys.readouterr()
    assert main(line) == 0
    assert "kept already: 18 rows" in capsys.readouterr().out
    (jobs.layout.matrices / f"{jobs.key}.parquet").unlink()
    local, products = ask(cluster.layout.store)
    assert products > 0
    assert found == local


def live(jobs: StripJobs) -> list[LiveJob]:
    return live_jobs(jobs.names)
