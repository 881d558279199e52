"""What was submitted comes into the store, once, and with the same bits as from one process."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.layout import Layout
from matterzoo import main
from tests.ingest.cluster.conftest import Cluster, ask, statuses, vectors, wait_for

pytestmark = pytest.mark.cluster
Molecules = Callable[[int], str]
LocalVectors = Callable[..., list[tuple[object, ...]]]
Said = pytest.CaptureFixture[str]
MODELS = "toy,toy-picky,toy-potential"


def test_vectors_are_those_of_one_process(
    cluster: Cluster,
    molecules: Molecules,
    local_vectors: LocalVectors,
    pids: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    monkeypatch.setenv("TOY_SEEN", str(tmp_path / "seen"))
    file, options = molecules(40), ["--per-task", "1", "--at-once", "2", "--time", "30m"]
    line = ["ingest", MODELS, file, "--on", "slurm", *options, "--sbatch=--gres=gpu:1"]
    assert main(line) == 0
    said = capfd.readouterr().out
    (submission,) = cluster.submissions
    script = (submission.folder / "array.sbatch").read_text()
    assert script in said
    assert "#SBATCH --array=0-2%2\n" in script
    assert "#SBATCH --time=0:30:00\n" in script
    cluster.wait()
    assert "3 loaded" in cluster.log("load")
    assert "CUDA_VISIBLE_DEVICES" in (tmp_path / "seen").read_text()
    assert len(pids.read_text().split()) == 3
    found = vectors(cluster.layout.store)
    assert found == local_vectors(MODELS, file)
    assert len(found) == 3 * 40
    capfd.readouterr()
    assert main(["status"]) == 0
    assert "3 chunks: 3 loaded" in capfd.readouterr().out
    assert main(line) == 0
    assert "nothing to submit" in capfd.readouterr().out
    assert len(cluster.submissions) == 1
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        assert_status_needs_no_slurm(line, capfd)


def assert_status_needs_no_slurm(line: list[str], capfd: Said) -> None:
    assert main(["status"]) == 0
    said = capfd.readouterr().out
    assert "Slurm does not answer, so what follows is from folders alone" in said
    assert "3 chunks: 3 loaded" in said
    assert main(line) == 1
    assert "error: there is no squeue here: --on slurm needs a machine" in capfd.readouterr().err


def test_short_chunks_of_a_family_share_a_task_and_a_worker(
    cluster: Cluster, molecules: Molecules, pids: Path
) -> None:
    cluster.ingest(MODELS, molecules(8), "--per-task", "2")
    cluster.wait()
    assert list(map(len, cluster.submissions[0].tasks)) == [2, 1]
    assert len(set(pids.read_text().split())) == 2  # each task loads in one process
    assert len(vectors(cluster.layout.store)) == 3 * 8


def test_two_submits_at_once_compute_and_load_nothing_twice(
    cluster: Cluster, molecules: Molecules, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "0.2")
    command = [sys.executable, "-m", "matterzoo", "ingest", MODELS, molecules(10), "--batch", "1"]
    command += ["--on", "slurm", "--per-task", "1", "--sbatch=--nodelist=n1"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("nothing to submit" in text for text in said) == 1
    assert sum("1 chunk in jobs that are not over" in text for text in said) == 1
    cluster.wait()
    assert len(pids.read_text().split()) == 3
    assert len(vectors(cluster.layout.store)) == 3 * 10
    assert statuses(cluster.layout.store) == [(name, "ok", 10) for name in MODELS.split(",")]


def test_a_model_without_weights_or_network_is_not_submitted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: Said
) -> None:
    monkeypatch.delenv("MATTERZOO_FAMILIES")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "short-chains.fasta").write_text(">a\nMKV\n>b\nGAVLI\n")
    cluster.ingest("esm2-8m", str(tmp_path / "short-chains.fasta"), code=2)
    assert "no network: the hub at " in capfd.readouterr().err
    assert (cluster.submissions, cluster.live) == ([], [])


def test_cancel_keeps_what_is_computed_and_the_same_command_goes_on(
    cluster: Cluster,
    molecules: Molecules,
    local_vectors: LocalVectors,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "0.5")
    line = ["toy", molecules(30), "--batch", "1", "--nodes"]
    cluster.ingest(*line)
    wait_for(lambda: list(cluster.layout.runs.glob("toy--*/out/current.json")))
    assert main(["cancel"]) == 0
    assert "is canceled; load job" in capfd.readouterr().out
    cluster.wait()
    assert "ended by SIGTERM" in cluster.log("task-0")
    assert "1 missing" in cluster.log("load")
    assert main(["status"]) == 0
    assert "no job is left; `" in capfd.readouterr().out
    monkeypatch.delenv("TOY_SLEEP")
    write_halves(cluster)
    cluster.ingest(*line)
    cluster.wait()
    assert "1 shard from earlier starts" in cluster.log("task-0")
    found = vectors(cluster.layout.store)
    assert found == local_vectors("toy", molecules(30), "--nodes") and len(found) == 30 * 3
    assert main(["cancel"]) == 0
    assert "nothing to cancel" in capfd.readouterr().out
    assert main(["clean", "--submissions", "all"]) == 2
    assert "This would remove 2 submissions. Nothing was removed" in capfd.readouterr().err
    assert main(["clean", "--submissions", "all", "--yes"]) == 0
    assert "1 chunk: 1 loaded)" in capfd.readouterr().out
    assert cluster.submissions == []
    assert len(vectors(cluster.layout.store)) == 30 * 3


def write_halves(cluster: Cluster) -> None:
    """Leave half-written files in the folder of the one run, as a node does that is lost."""
    (run,) = cluster.submissions[0].runs
    (shard,) = run.shards
    half = shard.read_bytes()[:100]
    names = ("out/.shard-00001.parquet", "out/.vectors-00000.parquet", "out/.run.json")
    for name in (*names, ".failed.json", "job/.job.json"):
        (run.folder / f"{name}.99999-0.tmp").write_bytes(half)
    (run.out / "vectors-00000.parquet").write_bytes(half)  # of a merge that was killed


def test_an_option_that_slurm_refuses_leaves_nothing_behind(
    cluster: Cluster, molecules: Molecules, capfd: Said
) -> None:
    line = ["ingest", "toy", molecules(3), "--on", "slurm", "--partition", "nowhere"]
    assert main(line) == 1
    assert "invalid partition specified: nowhere" in capfd.readouterr().err
    assert cluster.submissions == []


def test_a_later_ingest_leaves_queued_jobs_as_they_are(
    cluster: Cluster, molecules: Molecules, capfd: Said
) -> None:
    """A chunk that waits for a GPU is computed on it, whatever is asked for meanwhile."""
    file = molecules(5)
    cluster.ingest("toy", file, "--batch", "1")
    (submission,) = cluster.submissions
    ask("scontrol", "hold", str(submission.jobs["array"]))
    capfd.readouterr()
    assert main(["clean", "--submissions", submission.name]) == 2
    assert "a job is not over, and needs its folder" in capfd.readouterr().err
    cluster.ingest("toy", file)  # without --batch, which a run's id does not hold
    assert "1 chunk in jobs that are not over" in capfd.readouterr().out
    (run,) = submission.runs
    assert run.read("job/job.json")["batch"] == 1
    run.write("job/job.json", run.read("job/job.json") | {"device": "cuda", "batch": 7})  # locally
    ask("scontrol", "release", str(submission.jobs["array"]))
    cluster.wait()
    job = run.read("job/job.json")
    assert (job["device"], job["batch"]) == ("cpu", 1)
    assert "1 loaded" in cluster.log("load")


def test_a_job_is_known_whatever_its_users_shell_or_folder_is_called(
    cluster: Cluster,
    molecules: Molecules,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    monkeypatch.setenv("SBATCH_JOB_NAME", "mine")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "0-9")
    monkeypatch.setenv("SQUEUE_STATES", "FAILED")
    folder = tmp_path / 'My #1 "100%a" Project'
    folder.mkdir()
    monkeypatch.setenv("MATTERZOO_STORE", str(folder / "matter.duckdb"))
    odd = Cluster(cluster.folder, Layout.find())
    line = ["ingest", "toy", molecules(5), "--on", "slurm"]
    assert main([*line, "--sbatch=--nodelist=n1 --comment='two words' --hold"]) == 0
    (array,) = [job for job in odd.live if job.task is not None]
    assert (array.job_id, array.task) == (odd.submissions[0].jobs["array"], 0)
    assert "Comment=two words" in ask("scontrol", "show", "job", str(array.job_id))
    capfd.readouterr()
    assert main(line) == 0
    assert "1 chunk in jobs that are not over" in capfd.readouterr().out
    for number in odd.submissions[0].jobs.values():
        ask("scontrol", "release", str(number))
    odd.wait()
    assert "1 loaded" in odd.log("load")
    assert "finished" in odd.log("task-0")


def test_a_job_is_known_though_the_answer_of_sbatch_is_lost(
    cluster: Cluster,
    molecules: Molecules,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    """Sites wrap sbatch in programs of their own, and a busy controller answers too late."""
    wrapper = tmp_path / "sbatch"
    wrapper.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" && exit 1\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    cluster.ingest("toy", molecules(5))
    jobs = cluster.submissions[0].jobs
    assert f"array {jobs['array']}, then load job {jobs['load']}" in capfd.readouterr().out
    cluster.wait()
    assert "1 loaded" in cluster.log("load")
