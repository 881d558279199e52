"""What breaks on a cluster costs no vector twice, and says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.executors.shared.starts import Starts
from ingest.runs.store.access import lock_store
from matterzoo import main
from tests.ingest.cluster.conftest import Cluster, ask, slurm, statuses, vectors, wait_for

pytestmark = pytest.mark.cluster
Molecules = Callable[[int], str]
LocalVectors = Callable[..., list[tuple[object, ...]]]
Said = pytest.CaptureFixture[str]
ONE_BY_ONE = ("--batch", "1")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every batch take a while."""
    monkeypatch.setenv("TOY_SLEEP", "0.5")


def begun(cluster: Cluster) -> bool:
    """Whether a worker is at a system."""
    return bool(list(cluster.layout.runs.glob("*/out/current.json")))


def test_a_task_whose_time_is_up_goes_on_later(
    cluster: Cluster, molecules: Molecules, local_vectors: LocalVectors, slow: None
) -> None:
    file = molecules(110)  # 55 s; Slurm sends USR1 12 to 42 s before its minute is over
    cluster.ingest("toy", file, *ONE_BY_ONE, "--time", "1m", node="n4")
    cluster.wait()
    assert "ended by SIGUSR1: what is computed is kept" in cluster.log("task-0")
    assert cluster.lines("task-0", "task 0 of ") >= 2
    assert cluster.lines("task-0", "0 shards from earlier starts") == 1
    assert vectors(cluster.layout.store) == local_vectors("toy", file)


def test_a_chunk_on_a_node_that_is_lost_is_computed_on_another(
    cluster: Cluster, molecules: Molecules, local_vectors: LocalVectors, slow: None, pids: Path
) -> None:
    file = molecules(30)
    line = ["ingest", "toy", file, *ONE_BY_ONE, "--on", "slurm", "--sbatch=--exclude=n[1,3-4]"]
    assert main(line) == 0
    jobs = cluster.submissions[0].jobs
    ask("scontrol", "update", f"JobId={jobs['load']}", "ExcNodeList=")
    wait_for(lambda: begun(cluster))
    slurm("node-kill", str(cluster.folder), "n2")
    assert cluster.wait_for_state("RUNNING").node == "n2"  # Slurm has not noticed yet
    cluster.wait_for_state("PENDING")
    ask("scontrol", "update", f"JobId={jobs['array']}_0", "ExcNodeList=")
    try:
        cluster.wait()
    finally:
        slurm("node-start", str(cluster.folder), "n2")
    assert cluster.lines("task-0", "task 0 of ") == 2
    assert len(pids.read_text().split()) == 2
    assert "1 loaded" in cluster.log("load")
    assert vectors(cluster.layout.store) == local_vectors("toy", file)


def take_node_away(cluster: Cluster, seconds: int) -> None:
    urgent = ["sbatch", "-p", "urgent", "-w", "n3", "--exclusive", "-o", "/dev/null"]
    ask(*urgent, "--wrap", f"sleep {seconds}")


def test_a_preempted_task_goes_on_from_its_shards(
    cluster: Cluster, molecules: Molecules, slow: None, local_vectors: LocalVectors
) -> None:
    file = molecules(30)
    cluster.ingest("toy", file, *ONE_BY_ONE, node="n3")
    wait_for(lambda: begun(cluster))
    take_node_away(cluster, 1)
    cluster.wait()
    assert "ended by SIGTERM: what is computed is kept" in cluster.log("task-0")
    assert "1 shard from earlier starts" in cluster.log("task-0")
    (run,) = cluster.submissions[0].runs
    assert len(Starts.of(cluster.submissions[0], run).nodes) == 1  # preemption does not count
    assert vectors(cluster.layout.store) == local_vectors("toy", file)


def test_where_preemption_cancels_the_rest_is_loaded_and_the_command_goes_on(
    cluster: Cluster, molecules: Molecules, slow: None
) -> None:
    line = ["toy", molecules(30), *ONE_BY_ONE, "--partition", "canceled"]
    cluster.ingest(*line, node="n3")
    wait_for(lambda: begun(cluster))
    take_node_away(cluster, 1)
    cluster.wait()
    assert "1 missing" in cluster.log("load")
    cluster.ingest(*line)
    cluster.wait()
    assert "1 shard from earlier starts" in cluster.log("task-0")
    assert len(vectors(cluster.layout.store)) == 30


def test_a_poisoned_chunk_fails_after_three_starts_and_the_rest_is_loaded(
    cluster: Cluster, molecules: Molecules, pids: Path, capfd: Said
) -> None:
    cluster.ingest("toy-broken,toy", molecules(5), "--per-task", "2")
    cluster.wait()
    assert cluster.lines("task-0", "task 0 of ") == 3
    why = "started 3 times, on n1, n1, n1, without a new shard: toy-broken could not be loaded"
    assert f"failed: {why}" in cluster.log("load")
    assert statuses(cluster.layout.store) == [("toy", "ok", 5), ("toy-broken", "failed", 0)]
    capfd.readouterr()
    assert main(["status"]) == 0
    assert "failed: started 3 times, on n1, n1, n1" in capfd.readouterr().out


def test_a_load_job_that_is_killed_is_followed_by_another(
    cluster: Cluster, molecules: Molecules, pids: Path, capfd: Said
) -> None:
    line = ["toy,toy-picky", molecules(5)]
    cluster.ingest(*line)
    with lock_store(cluster.layout):
        wait_for(lambda: "waiting up to 600 s" in cluster.log("load"))
        load = cluster.wait_for_state("RUNNING", load=True)
        ask("scancel", "--signal=KILL", "--full", str(load.job_id))
        cluster.wait()
    capfd.readouterr()
    cluster.ingest(*line)
    assert "1 chunk computed before, to load" in capfd.readouterr().out
    assert "array" not in cluster.submissions[1].jobs
    cluster.wait()
    assert len(vectors(cluster.layout.store)) == 2 * 5
    assert len(pids.read_text().split()) == 2


def test_a_file_seen_late_is_waited_for_and_then_a_loud_error(
    cluster: Cluster, molecules: Molecules, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    line = ["toy", molecules(5)]
    cluster.ingest(*line)
    load = cluster.submissions[0].jobs["load"]
    ask("scontrol", "hold", str(load))
    wait_for(lambda: "finished" in cluster.log("task-0"))
    (run,) = cluster.submissions[0].runs
    file, away = run.out / "vectors-00000.parquet", run.folder / "away"
    shutil.move(file, away)
    ask("scontrol", "release", str(load))
    cluster.wait()
    assert f"{file} is not seen on node n1 after 2 s" in cluster.log("load")
    assert main(["status"]) == 0
    assert "1 chunk: 1 unreadable" in capfd.readouterr().out
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "60")
    shutil.move(away, file)
    cluster.ingest(*line)
    ask("scontrol", "hold", str(cluster.submissions[1].jobs["load"]))
    shutil.move(file, away)
    ask("scontrol", "release", str(cluster.submissions[1].jobs["load"]))
    wait_for(lambda: "waiting up to 60 s" in cluster.log("load"))
    shutil.move(away, file)
    cluster.wait()
    assert "1 loaded" in cluster.log("load")
    assert len(vectors(cluster.layout.store)) == 5


def test_a_disk_that_is_full_on_a_node_fails_the_chunk_and_the_command_goes_on(
    cluster: Cluster,
    molecules: Molecules,
    slow: None,
    fill: Callable[[Path, int], Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    disk = cluster.folder / "disk"
    store = disk / "matter.duckdb"
    monkeypatch.setenv("MATTERZOO_STORE", str(store))
    small = Cluster(cluster.folder, cluster.layout.find(str(store)))
    line = ["toy", molecules(8), *ONE_BY_ONE]
    small.ingest(*line)
    wait_for(lambda: begun(small))
    filler = fill(disk, 0)
    small.wait()
    capfd.readouterr()
    assert main(["status"]) == 0  # the logs are on that disk, too
    assert "no job is left; `matterzoo ingest toy" in capfd.readouterr().out
    assert not store.exists() or vectors(store) == []
    filler.unlink()
    small.ingest(*line)
    small.wait()
    assert len(vectors(store)) == 8


def test_the_trouble_of_one_chunk_is_no_other_s(
    cluster: Cluster, molecules: Molecules, pids: Path
) -> None:
    cluster.ingest("toy,toy-picky,toy-potential", molecules(5), "--per-task", "3")
    (submission,) = cluster.submissions
    ask("scontrol", "hold", str(submission.jobs["array"]))
    unseen, unreadable, whole = submission.runs
    (unseen.job / "job.json").unlink()
    (unreadable.job / "job.json").write_text("{")
    ask("scontrol", "release", str(submission.jobs["array"]))
    cluster.wait()
    assert f"{whole.run_id}: finished" in cluster.log("task-0")
    assert "job.json is not seen on node n1 after 2 s" in cluster.log("load")
    assert "1 loaded, 1 missing, 1 unreadable" in cluster.log("load")


def test_a_chunk_that_has_failed_is_tried_again_though_its_load_job_waits(
    cluster: Cluster, molecules: Molecules, capfd: Said
) -> None:
    line = ["toy-broken", molecules(3)]
    cluster.ingest(*line)
    (submission,) = cluster.submissions
    ask("scontrol", "hold", str(submission.jobs["load"]))
    (run,) = submission.runs
    wait_for(lambda: Starts.of(submission, run).failed)
    capfd.readouterr()
    cluster.ingest(*line)
    assert "toy-broken on molecules: 1 chunk to compute" in capfd.readouterr().out
