"""What a user asks for: vectors of models over datasets, and how they are to be computed."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

import duckdb

from ingest.limits import Limits
from ingest.runs.errors import RequestError
from ingest.runtimes.protocol import Runtime
from ingest.systems.materialized import MaterializedDataset
from schemas.paths import escape_glob
from zoo.cards.base import CardError
from zoo.cards.discovery import find_model, load_demo, load_models
from zoo.cards.family import Family, Selection
from zoo.cards.representations import choose_names
from zoo.cards.twins import split_twin
from zoo.command_line import split_names
from zoo.weights.local import find_weights
from zoo.worker.applicability import REQUIRED_FIELDS
from zoo.worker.pooling import NODES, full_name, split_name

EVERY = ("all", "bundled", "demo")  # names that stand for many models
SUFFIX = 2**20, "m"  # in which memory is written on a command line


@dataclass(frozen=True)
class Settings:
    """How models are run. The fields are named as the options of `matterzoo ingest`.

    Attributes:
        device: cpu, cuda, cuda:N or cuda:<uuid>; never another instead.
        dtype: The precision in which the model computes; None takes the card's.
        batch: The batch budget in the unit of the card; None takes the card's.
        limit: How many systems; None takes all, or the default sample of a large dataset.
        runtime: The runtime's name; None takes the best that there is.
        memory: Bytes that the worker may use; None sets no limit.
        cpus: CPU cores that the worker may use; None sets no limit.
        timeout: Seconds without a sign of life, after which a worker counts as hung.
        representation: Names separated by commas, `layers` or `all`, each with a pooling behind
            it, if that is not the mean, such as `last_hidden:std`; None takes the card's default.
        name: What a user's own files are called as a dataset; None takes the name of the file or
            the folder.
        numbered: Whether rows of a file that has no ids are numbered, in its order.
        nodes: Whether the vectors of atoms or residues are kept, too.
    """

    device: str = "cpu"
    dtype: str | None = None
    batch: int | None = None
    limit: int | None = None
    runtime: str | None = None
    memory: int | None = None
    cpus: float | None = None
    timeout: float = Limits.silence
    representation: str | None = None
    name: str | None = None
    numbered: bool = False
    nodes: bool = False

    @property
    def options(self) -> dict[str, str]:
        """The options of the command line, and their values, that differ from the defaults.

        The value of a switch is ''.
        """
        stated = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                size, letter = SUFFIX
                memory = field.name == "memory"
                text = "" if value is True else f"{value}"
                stated[f"--{field.name}"] = f"{value // size}{letter}" if memory else text
        return stated

    def limits(self, runtime: Runtime) -> Limits:
        """Return what the worker may use.

        Args:
            runtime: The runtime that is to start the worker.

        Raises:
            RequestError: The runtime cannot keep a worker within these limits.
        """
        if not runtime.confines and (self.memory or self.cpus):
            raise RequestError(
                f"runtime {runtime.name} cannot keep a worker within --memory or --cpus; "
                "--runtime docker can"
            )
        return Limits(self.memory, self.cpus, self.timeout)

    def command(
        self,
        models: Collection[str],
        dataset: str,
        store: str | None,
        more: Mapping[str, str] | None = None,
    ) -> str:
        """Return the command that continues with these models.

        Args:
            models: Ids of models.
            dataset: The dataset, as the user named it.
            store: The store, as the user named it, if so.
            more: Further options and their values.
        """
        options = self.options | ({} if store is None else {"--store": store}) | dict(more or {})
        words = ["matterzoo", "ingest", ",".join(models), dataset]
        for name, value in options.items():
            joined = value.startswith("-")
            words += [f"{name}={value}"] if joined else [name, value] if value else [name]
        return shlex.join(words)


@dataclass(frozen=True)
class Request:
    """Vectors of one model over one dataset.

    Attributes:
        selection: The model, or its untrained twin.
        dataset: The dataset, which lies on disk.
        representations: Full names of representations of the model.
        limit: How many systems; None takes all.
        device: See `Settings`.
        dtype: The precision in which the model computes.
        batch: See `Settings`.
    """

    selection: Selection
    dataset: MaterializedDataset
    representations: tuple[str, ...]
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch: int | None = None

    @property
    def systems(self) -> int:
        """How many systems are asked for."""
        there = self.dataset.n_systems
        return there if self.limit is None else min(self.limit, there)


def make_request(
    selection: Selection, dataset: MaterializedDataset, limit: int | None, settings: Settings
) -> Request:
    """Make the request for one model over one dataset.

    Args:
        selection: The model, or its untrained twin.
        dataset: The dataset, which lies on disk.
        limit: How many systems; None takes all.
        settings: How the model is to be run.

    Returns:
        The request.

    Raises:
        RequestError: The model lacks a representation that was named.
    """
    names = choose_representations(selection, settings.representation, nodes=settings.nodes)
    dtype = settings.dtype or selection.model.dtype
    return Request(selection, dataset, names, limit, settings.device, dtype, settings.batch)


def choose_models(names: str) -> list[Selection]:
    """Return the models that a user means, each once.

    `all` is every model whose weights are here, `bundled` every model that needs no download of
    its own, `demo` what `make demo` embeds with, some twins among it; `all@untrained`,
    `demo@untrained-2` and so on are untrained twins of theirs.

    Args:
        names: Ids of models separated by commas, such as `a,b@untrained`, or the words above.

    Returns:
        At least one model.

    Raises:
        CardError: No model is named, or there is none of a name.
    """
    chosen: dict[str, Selection] = {}
    for name in split_names(names):
        many, draw = split_twin(name)
        found = _choose_many(many, draw) if many in EVERY else [find_model(name)]
        chosen |= {selection.model_id: selection for selection in found}
    if not chosen:
        raise CardError(
            "no model is named; give ids separated by commas, all or bundled. "
            "`matterzoo list` shows them"
        )
    return list(chosen.values())


def _choose_many(word: str, draw: int | None) -> list[Selection]:
    """Return what a word of EVERY stands for, or the twins of a number."""
    if word == "demo":
        found = load_demo()
    else:
        found = [
            selection
            for selection in load_models().values()
            if selection.model.bundled or (word == "all" and find_weights(selection))
        ]
    if draw is None:
        return found
    trained = [s for s in found if s.model.trainable and not s.untrained]
    return [selection.twin(draw) for selection in trained]


def families_of(selections: Sequence[Selection]) -> list[Family]:
    """Return the families of some models, each once.

    Args:
        selections: Models.
    """
    return list({s.family.name: s.family for s in selections}.values())


def choose_representations(
    selection: Selection, asked: str | None, *, nodes: bool = False
) -> tuple[str, ...]:
    """Return the full names of the representations that a user means, in the card's order.

    Args:
        selection: The model.
        asked: See `Settings`; None takes the card's default.
        nodes: Whether the vectors of nodes are meant, too; their names come last.

    Raises:
        RequestError: The model has no representation of a name, it cannot be pooled so, or it has
            no vectors of atoms or residues.
    """
    model = selection.model
    try:
        default = model.default_representation
        names = choose_names(model.representation, asked or default, model.id, default)
    except CardError as error:
        raise RequestError(str(error)) from error
    bases = dict.fromkeys(split_name(name)[0] for name in names) if nodes else {}
    for reason in filter(None, map(model.why_no_nodes, bases)):
        raise RequestError(
            f"{model.id} has no vectors of nodes: {reason}. `matterzoo list` shows which models "
            "have; leave this one or --nodes out"
        )
    return (*names, *(full_name(base, NODES) for base in bases))


def why_inapplicable(selection: Selection, dataset: MaterializedDataset) -> str | None:
    """Return why a model can take no system of a dataset at all, or None if it can.

    Args:
        selection: The model.
        dataset: The dataset, which lies on disk.
    """
    columns = REQUIRED_FIELDS.get(selection.model.input)
    if columns is None:
        return None
    with duckdb.connect() as connection:
        table = "read_parquet(?, hive_partitioning = false)"
        query = f"SELECT 1 FROM {table} WHERE {columns[0]} IS NOT NULL LIMIT 1"
        given = connection.execute(query, [escape_glob(dataset.systems)]).fetchall()
    if given:
        return None
    return f"it takes a {selection.model.input}, and no system of {dataset.dataset} has one"
