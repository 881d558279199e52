"""Handlers of the commands that find a matrix in strips: matrix, matrix-work, matrix-load."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import threading
from pathlib import Path
from typing import Any, Protocol

import torch

from query import connect, default_store
from query.commands.ask import one_sentence
from query.strips import outdated
from query.strips.cutting import list_units, pair_units, sum_units
from query.strips.loading import load_strips
from query.strips.parts import Parts
from query.strips.processes import find_here
from query.strips.question import (
    Question,
    question_folder,
    require_same_device,
    write_question,
)
from query.strips.working import work_on_strips
from query.tables.shared.options import default_device
from query.tables.shared.stored import read_matrix
from zoo.command_line import call, job_task, print_now, split_names
from zoo.terminal import plural

OPTIONS = (
    "metric",
    "k",
    "estimator",
    "normalize",
    "permutations",
    "subsamples",
    "seed",
    "device",
    "given",
)


# The values that options have where they are left out, if not None.
DEFAULTS: dict[str, Any] = {"metric": "cknna", "rows": "all", "normalize": "l2"}
DEFAULTS |= {"permutations": 100, "subsamples": 0, "seed": 0, "missing": "pairwise"}
DEFAULTS |= {"on": "local", "nodes": 1, "device": "cpu"}


class Elsewhere(Protocol):
    """Where strips are found if not on this machine; `options.elsewhere` names a class of it."""

    def find(self, key: str, command: str) -> float | None:
        """Have strips found of a question that is written.

        Args:
            key: The question's key.
            command: The command that asks for the same again.

        Returns:
            None if others find them and put them together later; else all that could be are found,
            and these are the seconds to wait for files that are seen late.
        """


def matrix(options: argparse.Namespace) -> int:
    """Find a matrix in strips, here or elsewhere, unless it is kept.

    Args:
        options: Those of `matterzoo matrix`.

    Returns:
        The exit code.

    Raises:
        MatterzooError: The store or what is asked of it is wrong.
    """
    # Stated, as the processes may have another MATTERZOO_DEVICE, and the device decides the cut.
    options.device = options.device or default_device()
    elsewhere: Elsewhere | None = call(options.elsewhere, options)
    command = _state_command(options)
    with one_sentence(options.store):
        key = _begin(options, command)
        if key is None:
            return 0
        if elsewhere is None:
            rows = find_here(_store(options), key, options.nodes)
        elif (wait := elsewhere.find(key, command)) is not None:
            rows = load_strips(_store(options), key, wait)
        else:
            return 0
    print_now(f"matrix {key} is kept: {plural(rows, 'row')}")
    return 0


def _begin(options: argparse.Namespace, command: str) -> str | None:
    """Write down what is asked for, and return its key; None if its answer is kept."""
    store = _store(options)
    with connect(store, functions=False) as connection:
        question = _question(options, command)
        key, plan = question.key(connection), question.plan(connection)
    if (rows := read_matrix(store, key)) is not None:
        print_now(f"kept already: {_describe(options, len(rows))}")
        return None
    units = [*list_units(plan), *sum_units(plan, question.side), *pair_units(plan)]
    folder = question_folder(store, key)
    write_question(folder, question, len(units))
    require_same_device(folder, question)
    missing = len(Parts(folder).missing([unit.name for unit in units]))
    done = f", {len(units) - missing} found before" if missing < len(units) else ""
    print_now(f"matrix {key} of {options.dataset}: {plural(len(units), 'strip')}{done}")
    return key


def work(options: argparse.Namespace) -> int:
    """Find strips until none is missing.

    Args:
        options: Key, task, tasks, threads, store.

    Returns:
        The exit code.
    """
    if options.tied:
        threading.Thread(target=_end_with_standard_input, daemon=True).start()
    with one_sentence(options.store):
        task = job_task() or 0 if options.task is None else options.task
        given = options.key, task, options.tasks, options.threads
        work_on_strips(_store(options), *given)
    return 0


def load(options: argparse.Namespace) -> int:
    """Put the strips together.

    Args:
        options: Key, store.

    Returns:
        The exit code.
    """
    with one_sentence(options.store):
        rows = load_strips(_store(options), options.key, options.wait)
    print_now(f"matrix {options.key} is kept: {plural(rows, 'row')}")
    return 0


def find_outdated(options: argparse.Namespace) -> frozenset[str]:
    """Return the keys of matrices that nobody asks for any more; see `outdated.find_outdated`.

    Args:
        options: Store.
    """
    return outdated.find_outdated(_store(options))


def _question(options: argparse.Namespace, command: str) -> Question:
    given: dict[str, Any] = {name: vars(options)[name] for name in OPTIONS}
    given["rows"] = None if options.rows == "all" else int(options.rows)
    stated = {name: value for name, value in given.items() if value is not None}
    models = split_names(options.models) or None
    threads = torch.get_num_threads()
    return Question(options.dataset, models, options.missing, stated, threads, command)


def _end_with_standard_input() -> None:
    while os.read(0, 65_536):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the strip that it is at is lost


def _state_command(options: argparse.Namespace) -> str:
    """Return the command that asks for the same again."""
    words = ["matterzoo", "matrix", options.dataset]
    for name, value in vars(options).items():
        left_out = name in ("command", "handler", "elsewhere", "dataset")
        if not left_out and value is not None and value != DEFAULTS.get(name):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _store(options: argparse.Namespace) -> Path:
    return Path(options.store or default_store()).absolute()


def _describe(options: argparse.Namespace, rows: int) -> str:
    return f"{plural(rows, 'row')} of {options.metric} on {options.dataset}, the same vectors"
