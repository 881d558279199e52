"""Write the scripts that are submitted: for people to read, and to submit again by hand."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

from ingest.executors.protocol import Where
from ingest.executors.slurm.late import VARIABLE as FILE_WAIT
from ingest.executors.slurm.submission import Submission
from ingest.runs.errors import RequestError

# What decides where environments, families and weights are found. The jobs get it as it is now.
CARRIED = (
    *("MATTERZOO_ENVS", "MATTERZOO_FAMILIES", "MATTERZOO_WEIGHTS", "MATTERZOO_WORKER_ENV"),
    *("MATTERZOO_VECTORS", FILE_WAIT, "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "PYTHONPATH"),
)
SIGNAL_SECONDS = 120  # before a task's time is up: enough for a batch, a shard and being requeued
SLURM_TIME = re.compile(r"\d+(:\d+(:\d+)?)?|\d+-\d+(:\d+(:\d+)?)?")
SHORT_TIME = re.compile(r"(\d+)([smhd])")
MINUTES = {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}


def array_script(submission: Submission, where: Where, device: str, command: str) -> str:
    """Return the script of the array.

    Args:
        submission: What is submitted.
        where: The options of the scheduler.
        device: The device of all jobs, cpu or cuda.
        command: The command that submits it.
    """
    tasks = submission.tasks
    at_once = f"%{where.at_once}" if where.at_once else ""
    options = [f"--job-name={submission.job_name}", f"--array=0-{len(tasks) - 1}{at_once}"]
    options += [*_options(where), *_words(where)]
    if device != "cpu" and not any(map(_asks_for_gpu, _words(where))):
        options.append("--gres=gpu:1")
    options += [
        f"--signal=B:USR1@{_signal_seconds(where.time)}",
        *("--requeue", "--open-mode=append"),
        f"--output={submission.folder}/logs/task-%a.log",
    ]
    chunks = sum(map(len, tasks))
    about = [
        f"{chunks} chunk{'s' if chunks != 1 else ''} in {len(tasks)} task"
        f"{'s' if len(tasks) != 1 else ''}, for {submission.layout.store}. Submitted by",
        f"    {command}",
        "Task i computes what submission.json, beside this file, lists under it. A task that is",
        "cut short (USR1 comes before its time is up) keeps what it has, and goes on when it is",
        "started again.",
    ]
    return _script(about, options, submission, "work")


def load_script(submission: Submission, where: Where) -> str:
    """Return the script of the load job.

    Args:
        submission: What is submitted.
        where: The options of the scheduler; the load job needs no GPU.
    """
    about = [
        f"Load what submission {submission.name} has computed into {submission.layout.store}.",
        "Nothing else writes there. It starts when the array is over, however that ended",
        "(--dependency=afterany); loading twice is the same as loading once.",
    ]
    options = [f"--job-name={submission.load_name}", *_options(where)]
    options += [word for word in _words(where) if not _asks_for_gpu(word)]
    options += ["--requeue", "--open-mode=append", f"--output={submission.folder}/logs/load.log"]
    return _script(about, options, submission, "load")


def to_slurm_time(text: str) -> str:
    """Return a time as Slurm writes it.

    Args:
        text: Such as 30m, 4h or 2d, or a time as Slurm takes it.

    Raises:
        RequestError: It is no time.
    """
    found = SHORT_TIME.fullmatch(text)
    if found:
        minutes = max(1, round(int(found[1]) * MINUTES[found[2]]))
        return f"{minutes // 60}:{minutes % 60:02d}:00"
    if not SLURM_TIME.fullmatch(text):
        raise RequestError(f"--time is {text!r}; expected a time such as 30m, 4h, 2d or 1-12:00:00")
    return text


def _script(about: list[str], options: list[str], submission: Submission, command: str) -> str:
    program = Path(sys.executable).with_name("matterzoo")
    start = [str(program)] if program.exists() else [sys.executable, "-m", "matterzoo"]
    words = [*start, command, "--store", str(submission.layout.store), submission.name]
    settings = [
        f"export {name}={shlex.quote(os.environ[name])}"
        for name in CARRIED
        if (os.environ.get(name))
    ]
    lines = [
        "#!/bin/bash",
        *(f"# {line}" for line in about),
        *(f"#SBATCH {option}" for option in options),
        *settings,
        f"exec {shlex.join(words)}",
    ]
    return "\n".join(lines) + "\n"


def _options(where: Where) -> list[str]:
    stated = {"partition": where.partition, "account": where.account}
    stated["time"] = None if where.time is None else to_slurm_time(where.time)
    return [f"--{name}={value}" for name, value in stated.items() if value is not None]


def _words(where: Where) -> list[str]:
    """Return the user's own options of sbatch, one per line of the script."""
    words = shlex.split(where.sbatch or "")
    if any("\n" in word or not word.startswith("--") for word in words):
        raise RequestError(
            f"--sbatch is {where.sbatch!r}; expected long options of sbatch, each with its value "
            "after '=', such as '--constraint=a100 --mem=32G'"
        )
    return words


def _asks_for_gpu(word: str) -> bool:
    return word.startswith(("--gres", "--gpus", "--gpu-"))


def _signal_seconds(time: str | None) -> int:
    """Return how many seconds before its time is up a task is told: fewer where that is short."""
    if time is None:
        return SIGNAL_SECONDS
    return max(10, min(SIGNAL_SECONDS, round(_seconds(to_slurm_time(time)) / 5)))


def _seconds(text: str) -> int:
    """Return the seconds of a time as Slurm writes it: m, m:s, h:m:s, d-h, d-h:m or d-h:m:s."""
    days, dash, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    clock = sum(part * unit for part, unit in zip(parts, units, strict=False))
    return 86_400 * int(days or 0) + clock
