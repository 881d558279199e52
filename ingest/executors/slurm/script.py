"""Write the scripts that are submitted: for people to read, and to submit again by hand."""

from __future__ import annotations

import re
import shlex

from ingest.executors.protocol import Where
from ingest.executors.shared.program import carried_variables, program
from ingest.executors.shared.submission import Submission
from ingest.runs.errors import RequestError
from ingest.runs.request import Settings
from zoo.terminal import plural
from zoo.variables import looks_secret

SIGNAL_SECONDS = 120  # before a task's time is up: for a batch, a shard and being requeued
# Options of sbatch that are ours to set, or that would keep a job from being known.
OURS = (
    *("job-name", "array", "output", "open-mode", "signal", "requeue", "no-requeue", "dependency"),
    *("clusters", "wait", "parsable", "test-only", "wrap"),
)
PLAIN = re.compile(r"[\w@%+=:,./\[\]-]*")  # what sbatch reads from a script as it stands there
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
    options = [f"--job-name={submission.job_name}", array_range(submission, where)]
    options += [*task_options(where, device), f"--output={_logs(submission)}/task-%a.log"]
    chunks = plural(sum(map(len, tasks)), "chunk")
    about = [
        f"{chunks} in {plural(len(tasks), 'task')}, for {submission.layout.store}. Submitted by",
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
    options = [f"--job-name={submission.load_name}", *load_options(where)]
    options += [f"--output={_logs(submission)}/load.log"]
    return _script(about, options, submission, "load")


def check_options(where: Where, settings: Settings) -> None:
    """Refuse what no jobs can be asked for, before anything is made ready for them.

    Args:
        where: The options of the scheduler.
        settings: How the models are to be run.

    Raises:
        RequestError: An option is not what it has to be.
    """
    for name, value in where.options.items():
        if not value.isprintable():
            raise RequestError(f"{name} is {value!r}; expected one line without control characters")
    if settings.device not in ("cpu", "cuda"):
        raise RequestError(
            f"--device is {settings.device}; on slurm, Slurm chooses the GPU: give cuda"
        )
    if where.time is not None:
        to_slurm_time(where.time)
    _words(where)


def task_options(where: Where, device: str) -> list[str]:
    """Return the options of sbatch for tasks, without names and logs.

    Args:
        where: The options of the scheduler.
        device: The device of all tasks, cpu or cuda.
    """
    options = [*stated_options(where), *_with_gpu(_words(where), device)]
    options.append(f"--signal=B:USR1@{_signal_seconds(where.time)}")
    return [*options, "--requeue", "--open-mode=append"]


def load_options(where: Where) -> list[str]:
    """Return the options of sbatch for a job that needs no GPU, without names and logs.

    Args:
        where: The options of the scheduler.
    """
    options = [word for word in _words(where) if not _is_about_gpus(word)]
    return [*stated_options(where), *options, "--requeue", "--open-mode=append"]


def array_range(submission: Submission, where: Where) -> str:
    """Return the option that makes a job an array.

    Args:
        submission: What is submitted.
        where: The options of the scheduler.
    """
    at_once = f"%{where.at_once}" if where.at_once else ""
    return f"--array=0-{len(submission.tasks) - 1}{at_once}"


def stated_options(where: Where) -> list[str]:
    """Return the options of sbatch that have one of our own.

    Args:
        where: The options of the scheduler.
    """
    stated = {"partition": where.partition, "account": where.account}
    stated["time"] = None if where.time is None else to_slurm_time(where.time)
    return [f"--{name}={value}" for name, value in stated.items() if value is not None]


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
    words = [*program(), command, "--store", str(submission.layout.store), submission.name]
    return job_script(about, options, [f"exec {shlex.join(words)}"])


def job_script(about: list[str], options: list[str], commands: list[str]) -> str:
    """Return a script that starts matterzoo on a node, with the variables of this process.

    Args:
        about: What it says of itself.
        options: Options of sbatch.
        commands: What it runs.
    """
    carried = carried_variables()
    secret = [name for name in carried if looks_secret(name)]  # others can read a script
    about = [*about, *(f"{name} is not written here: sbatch passes it on." for name in secret)]
    settings = [
        f"export {name}={shlex.quote(value)}"
        for name, value in carried.items()
        if name not in secret
    ]
    lines = [
        "#!/bin/bash",
        *(f"# {part}" for line in about for part in line.splitlines()),
        *(f"#SBATCH {_quote(option)}" for option in options),
        *settings,
        *commands,
    ]
    return "\n".join(lines) + "\n"


def _quote(option: str) -> str:
    """Return an option as sbatch reads it from a script, where a backslash counts in any quotes."""
    name, equals, value = option.partition("=")
    if PLAIN.fullmatch(value):
        return option
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'{name}{equals}"{escaped}"'


def _logs(submission: Submission) -> str:
    """Return the folder of logs as --output takes it."""
    return f"{submission.folder}/logs".replace("%", "%%")


def _words(where: Where) -> list[str]:
    """Return the user's own options of sbatch, one per line of the script."""
    stated = f"--sbatch is {where.sbatch!r}"
    try:
        words = shlex.split(where.sbatch or "")
    except ValueError as error:
        raise RequestError(f"{stated}: {str(error).lower()}; end each quote") from None
    if not all(word.startswith("--") for word in words):
        raise RequestError(
            f"{stated}; expected long options of sbatch, each with its value "
            "after '=', such as '--constraint=a100 --mem=32G'"
        )
    for word in words:
        name = word.removeprefix("--").partition("=")[0]
        ours = next((option for option in OURS if option.startswith(name)), None)
        if ours is not None:  # sbatch takes the beginning of an option for it, too
            raise RequestError(f"{stated}; --{ours} is set by matterzoo: leave {word} out")
    return words


def _with_gpu(words: list[str], device: str) -> list[str]:
    """Return options that ask for a GPU if the device is one. Of several --gres the last counts."""
    if device == "cpu" or any(map(_asks_for_gpus, words)):
        return words
    other = [word for word in words if word.startswith("--gres=")]
    rest = [word for word in words if word not in other]
    return [*rest, f"{other[-1]},gpu:1" if other else "--gres=gpu:1"]


def _asks_for_gpus(word: str) -> bool:
    name, _, value = word.partition("=")
    return name.startswith("--gpus") or (
        name.startswith(("--gres", "--tres-per-")) and "gpu" in value
    )


def _is_about_gpus(word: str) -> bool:
    name = word.partition("=")[0]
    return _asks_for_gpus(word) or name.startswith("--gpu-") or name.endswith("-per-gpu")


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
