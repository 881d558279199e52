"""What is asked for in strips, and the folder in which its strips are collected."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import duckdb

from query import connect
from query.engine.tiles import CPU_STACK
from query.reading.selection import Selection, Source, choose_sources, find_dataset
from query.tables.shared.options import Options, default_device
from query.tables.shared.plans import Plan
from query.tables.shared.stored import question_key
from schemas.errors import StoreLocked
from schemas.paths import data_folder
from zoo.errors import MatterzooError
from zoo.files import write_atomically

FILE = "question.json"
STORE_SECONDS = 60.0  # that a process waits for a store: a load of one chunk takes fewer
STORE_PAUSE = 0.2  # s between two looks at it
CUDA_SIDE = 4096  # of tiles on a GPU: the same on all, whatever memory they have free


class StripsError(MatterzooError):
    """Strips cannot be found or put together."""

    exit_code = 1


@dataclass(frozen=True)
class Question:
    """A question for a matrix.

    Attributes:
        dataset: The dataset.
        models: Names of models; None for all that have vectors of it.
        missing: 'pairwise' or 'common'.
        options: How to compare, as the arguments of `Options`.
        threads: How many threads PyTorch had where the question was asked: what no strip cuts
            (`procrustes`, `reconstruction_error`) depends on it in the last bits.
        command: The command that asks for the same again.
    """

    dataset: str
    models: list[str] | None
    missing: str
    options: dict[str, Any]
    threads: int
    command: str = ""

    @property
    def for_options(self) -> Options:
        """How to compare."""
        return Options(**self.options)

    @property
    def for_device(self) -> str:
        """Where to compute; the device of whoever asks now, where the question states none."""
        return str(self.options.get("device") or default_device())

    @property
    def side(self) -> int:
        """The side of the tiles of which all models have one at a time."""
        return CPU_STACK if self.for_device == "cpu" else CUDA_SIDE

    def sources(self, connection: duckdb.DuckDBPyConnection) -> list[Source]:
        """Return the models.

        Args:
            connection: A store.

        Raises:
            ValueError: The store lacks a model or the dataset.
        """
        return choose_sources(connection, self.models, find_dataset(connection, self.dataset))

    def plan(self, connection: duckdb.DuckDBPyConnection) -> Plan:
        """Return the alignments asked for.

        Args:
            connection: A store.

        Raises:
            ValueError: The store lacks something, or a file of vectors is damaged.
            StripsError: Something is given, which is not cut in strips.
        """
        if self.for_options.given_names:
            raise StripsError(
                f"given = {self.options['given']} cannot be found in strips: "
                "`FROM alignment_matrix(…, given := …)` finds the matrix in one process"
            )
        sources = self.sources(connection)
        pairs = list(product(sources, sources))
        return Plan(connection, Selection(self.dataset), pairs, self.for_options, self.missing)

    def key(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Return what tells the question and the vectors that answer it; see `question_key`.

        Args:
            connection: A store.

        Raises:
            StripsError: The vectors are not in files.
        """
        given = Selection(self.dataset), self.sources(connection), self.for_options, self.missing
        key = question_key(connection, *given)
        if key is None:
            raise StripsError(
                "the vectors of this store are not in files beside it, as in an exported one; "
                "`FROM alignment_matrix(…)` computes the matrix in this process"
            )
        return key


def open_store(store: str | Path) -> duckdb.DuckDBPyConnection:
    """Open a store to be read, waiting a while for whoever writes to it.

    Args:
        store: The path of the store.

    Raises:
        StoreError: It cannot be opened, or others wrote to it all the time.
    """
    end = time.monotonic() + STORE_SECONDS
    while True:
        try:
            return connect(store, functions=False)
        except StoreLocked:
            if time.monotonic() >= end:
                raise
        time.sleep(STORE_PAUSE)


def question_folder(store: str | Path, key: str) -> Path:
    """Return the folder of a question's strips.

    Args:
        store: The path of the store.
        key: See `Question.key`.
    """
    return data_folder(store) / "strips" / key


def write_question(folder: Path, question: Question, total: int) -> None:
    """Write what is asked for, unless it is there and can be read.

    Args:
        folder: The question's folder.
        question: The question.
        total: How many strips it has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        read_question(folder)
    except StripsError:
        content = asdict(question) | {"total": total}
        write_atomically(folder / FILE, json.dumps(content, indent=1) + "\n")


def require_same_device(folder: Path, question: Question) -> None:
    """Refuse to go on with strips on another device, which would cut other ones.

    Args:
        folder: The question's folder.
        question: The question as it is asked now.

    Raises:
        StripsError: The strips were begun on another device.
    """
    begun, now = (each.for_device for each in (read_question(folder), question))
    if begun.partition(":")[0] != now.partition(":")[0]:
        raise StripsError(
            f"the strips in {folder} were begun with --device {begun}, not {now}: go on with "
            f"--device {begun}, or remove the folder to begin anew"
        )


def read_question(folder: Path) -> Question:
    """Return what is asked for.

    Args:
        folder: The question's folder.

    Raises:
        StripsError: There is no such folder, or its file cannot be read.
    """
    try:
        content = json.loads((folder / FILE).read_text())
        content.pop("total")
        return Question(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StripsError(
            f"{folder / FILE} cannot be read ({error}): `matterzoo matrix DATASET` writes it, and "
            "nodes of a cluster see it on a file system that they share"
        ) from error
