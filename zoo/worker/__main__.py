"""The command line of the worker; see `zoo.worker`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from zoo.worker.device import release_memory
from zoo.worker.errors import Stopped, WorkerError, describe
from zoo.worker.events import LOG_FILE, Assignment, send_event
from zoo.worker.job import Job
from zoo.worker.run import Places, run_job
from zoo.worker.signals import Signals, end_with_standard_input, read_standard_input


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job, or one after another.

    Args:
        arguments: What follows the program's name; None: as this process was started.

    Returns:
        The exit code: 0 if every job is done, 1 if one cannot be, 128 + n if signal n ended it. Why
        is the last event on standard error.
    """
    options, stop = _parser().parse_args(arguments), Signals()
    try:
        _work(options, stop)
    except (Stopped, KeyboardInterrupt) as stopped:
        stop.ignore()
        name = str(stopped) or "SIGINT"
        kept = "finished shards are kept, and the same run continues from them"
        send_event("error", message=f"stopped by {name}; {kept}")
        return 128 + signal.Signals[name]
    except WorkerError as error:
        send_event("error", message=" ".join(str(error).split()))
        return 1
    except Exception as error:
        traceback.print_exc()
        send_event("error", message=describe(error))
        return 1
    return 0


def _work(options: argparse.Namespace, stop: Signals) -> None:
    """Run the job of the command line; if it names none, those that standard input gives."""
    if options.job is not None:
        if options.tied:
            end_with_standard_input(stop)
        _run(Assignment(options.job, options.out, options.weights, options.shared), options, stop)
        return
    for line in read_standard_input(stop, release_memory):
        assignment = Assignment.parse(line)
        _move_to(assignment.out)
        _run(assignment, options, stop)


def _run(assignment: Assignment, options: argparse.Namespace, stop: Signals) -> None:
    job = Job.read(assignment.job)
    places = Places(family=options.family, **vars(assignment))
    run_job(job, places, options.device or job.device, stop)


def _move_to(out: Path) -> None:
    """Work in a run's folder from now on, and have its log take what packages print."""
    os.chdir(out)
    sys.stdout.flush()
    log = os.open(out / LOG_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.close(log)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zoo.worker",
        description="Embed the systems of a job with one model. Without a job on the command line, "
        "standard input gives jobs, one after another.",
    )
    add = parser.add_argument
    add("job", type=Path, nargs="?", help="folder with job.json and systems.parquet")
    add("out", type=Path, nargs="?", help="folder for the shards and run.json")
    add("--family", type=Path, required=True, help="the family's folder, with encoder.py")
    add("--weights", type=Path, help="the folder of the model's files, verified by the host")
    add("--shared", action="store_true", help="others can change the weights: hash them again")
    add("--tied", action="store_true", help="end, as by SIGTERM, when standard input ends")
    add("--device", help="what the job's device is called in here (default: as in the job)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
