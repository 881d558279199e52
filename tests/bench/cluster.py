"""A task of Slurm against the bare worker on the same job, and how many empty tasks it starts."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.executors.shared.submission import Submission, list_submissions
from ingest.layout import Layout
from ingest.runtimes import environment
from ingest.runtimes.venv import KEEP_MEMORY, ONE_BLAS_THREAD
from tests.bench.ingest import REPEATS, ROOT, ingest_command, write_molecules
from tests.bench.report import NotMeasured, Row
from zoo.cards.discovery import find_model
from zoo.places import worker_imports
from zoo.variables import NO_SPINNING, worker_variables

SCRIPT = ROOT / "tests" / "ingest" / "cluster" / "slurm.sh"
MODEL = "soap"
SYSTEMS = 65_536  # a whole chunk, which takes a processor one or two minutes
TASKS, SLOTS = 100, 16  # the cluster of the tests has four nodes of four processors
SPENT = re.compile(r"(\d+)m([\d.]+)s")  # in what bash's `times` prints


def run(systems: int | None) -> Iterator[Row]:
    """Yield both measures, on a Slurm that is started for them.

    Args:
        systems: How many systems the chunk has; None is SYSTEMS.
    """
    measure = "processor time of a task of one chunk / of the bare worker"
    if missing := _slurm("missing"):
        yield NotMeasured.because(measure, missing)
        return
    count = systems or SYSTEMS
    with tempfile.TemporaryDirectory() as name, _cluster(Path(name)):
        submission = _submit(Path(name), count)
        ours, rival = [], []
        for number in range(REPEATS):
            rival.append(_bare(submission, Path(name) / f"bare-{number}"))
            ours.append(_task(submission, Path(name) / f"times-{number}"))
        note = f"{MODEL}, {count:,} systems; what Slurm's own daemons take is not counted"
        limit = None if systems else 1.05  # it is about chunks of two minutes, or so
        yield Row(measure, statistics.median(ours), statistics.median(rival), "s", limit, note)
        yield _empty_tasks()


def _slurm(*words: object) -> str:
    done = subprocess.run([SCRIPT, *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    slurm = folder / "slurm"
    os.environ |= {"SLURM_CONF": str(slurm / "slurm.conf"), "PYTHONPATH": str(ROOT)}
    try:
        _slurm("start", slurm)
        yield
    finally:
        _slurm("stop", slurm)


def _submit(folder: Path, count: int) -> Submission:
    """Submit a chunk of `count` molecules, take its jobs away, and return the submission."""
    write_molecules(folder / "molecules.extxyz", count)
    store = folder / "bench.duckdb"
    command = [*ingest_command(store, MODEL, str(folder / "molecules.extxyz")), "--on", "slurm"]
    subprocess.run([*command, "--sbatch=--hold"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (submission,) = list_submissions(Layout(store))
    subprocess.run(["scancel", *map(str, submission.jobs.values())], check=True)
    return submission


def _task(submission: Submission, spent: Path) -> float:
    """Return the processor time of the submitted script, in s."""
    (run,) = submission.runs
    shutil.rmtree(run.out, ignore_errors=True)
    shutil.rmtree(submission.folder / "starts", ignore_errors=True)
    script = spent.with_suffix(".sbatch")
    text = (submission.folder / "array.sbatch").read_text()
    text = text.replace("#SBATCH --hold\n", "").replace("\nexec ", "\n")
    script.write_text(f"{text}times >{spent}.part && mv {spent}.part {spent}\n")
    subprocess.run(["sbatch", script], check=True, stdout=subprocess.DEVNULL)
    while not spent.exists():
        time.sleep(0.1)
    if not run.finished:
        raise SystemExit((submission.folder / "logs" / "task-0.log").read_text())
    return sum(60 * int(m) + float(s) for m, s in SPENT.findall(spent.read_text()))


def _bare(submission: Submission, out: Path) -> float:
    """Return the processor time of the worker on the same job, in s."""
    (run,) = submission.runs
    family = find_model(MODEL).family
    command = [environment.python_of(family), "-P", "-m", "zoo.worker", run.job, out]
    variables = NO_SPINNING | ONE_BLAS_THREAD | KEEP_MEMORY | worker_variables()
    variables["PYTHONPATH"] = str(worker_imports())
    before = os.times()
    subprocess.run(
        [*command, "--family", family.path],
        env=variables,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system


def _empty_tasks() -> Row:
    """Return how long an array of empty tasks takes, against so many processes started here."""
    start = time.perf_counter()
    options = [f"--array=0-{TASKS - 1}", "--output=/dev/null", "--job-name=empty", "--parsable"]
    subprocess.run(
        ["sbatch", *options, "--wrap=true"], check=True, stdout=subprocess.DEVNULL, text=True
    )
    queue = ["squeue", "--noheader", "--name=empty"]
    while subprocess.run(queue, check=True, capture_output=True).stdout.strip():
        time.sleep(0.1)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(TASKS):
        subprocess.run(["bash", "-c", "true"], check=True)
    rival = time.perf_counter() - start
    note = f"{TASKS / ours:.0f} tasks per second"
    return Row(
        f"{TASKS} empty tasks on {SLOTS} processors / processes", ours, rival, "s", None, note
    )
