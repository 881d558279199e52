"""Estimate what a request will take before it starts: environments, disk and time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.layout import Layout
from ingest.runtimes.protocol import Runtime
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreLocked
from schemas.paths import escape_glob
from schemas.store import connect
from zoo.cards.family import Family, Selection
from zoo.terminal import duration, plural
from zoo.worker.device import cpu_name
from zoo.worker.pooling import NODE_FIELDS, NODES, split_name

COPIES = 2  # of every vector as a run ends: one in a vector file, and until then one in a shard
NUMBER_BYTES = 4  # of a float32
START_SECONDS = 8.0  # to start a worker and load its first model, on 2 CPU cores
LOAD_SECONDS = 1.0  # to load a further model of the same family
# The largest run here on such a device. A CPU has to be the same as this machine's.
MEASURED = """
SELECT sent / len(representations) / greatest(seconds - $load, seconds / 2) AS speed, peak_memory
FROM runs
WHERE model_id = $model_id AND status = 'ok' AND runtime != 'fetched' AND seconds > 0
AND split_part(device, ':', 1) = $kind AND ($kind != 'cpu' OR device_name = $cpu)
AND dtype = $dtype AND sent > 0
ORDER BY sent DESC, finished DESC LIMIT 1
"""


@dataclass(frozen=True)
class Measured:
    """What a run of a model on such a device took.

    Attributes:
        speed: Systems per second, about, once the worker had started.
        memory: Peak memory of the host in bytes, if it was measured.
    """

    speed: float
    memory: int | None


@dataclass(frozen=True)
class Task:
    """What a model is to embed.

    Attributes:
        selection: The model.
        representations: Names of its representations.
        systems: How many systems lack vectors.
        nodes: See `mean_nodes`.
    """

    selection: Selection
    representations: tuple[str, ...]
    systems: int
    nodes: float = 0.0

    @property
    def vector_bytes(self) -> int:
        """Bytes that the vectors of all systems take on disk."""
        each = bytes_per_system(self.selection, self.representations, self.nodes)
        return round(self.systems * each)

    @property
    def seconds(self) -> float | None:
        """See `seconds_of`."""
        return seconds_of(self.selection, self.systems)


@dataclass(frozen=True)
class Cost:
    """What several tasks take, from the cards, which were measured on 2 CPU cores.

    Attributes:
        build: Families without a ready environment.
        ready: Families with a ready environment.
        models: How many models are run.
        systems: How many vectors are computed, over all models.
        workers: How many workers do it side by side.
        seconds: How long that takes them, without the unmeasured models.
        unmeasured: Models of unknown speed.
        vectors_mb: What the vectors take on disk, in MB.
        free_mb: What is free on the store's disk, in MB.
    """

    build: tuple[Family, ...]
    ready: tuple[Family, ...]
    models: int
    systems: int
    workers: int
    seconds: float
    unmeasured: tuple[str, ...]
    vectors_mb: float
    free_mb: float

    @property
    def build_mb(self) -> int:
        """What the environments to be made ready take on disk, in MB."""
        return sum(family.installed_mb for family in self.build)

    def lines(self) -> list[str]:
        """Return what there is to compute, the environments and the disk, as lines to report."""
        size = f"{self.systems:,} vectors by {plural(self.models, 'model')}"
        by = "on 2 CPU cores" if self.workers == 1 else f"by {self.workers} workers at once"
        lines = [f"to compute: {size}, about {duration(self.seconds)} {by}"]
        if self.unmeasured:
            names = ", ".join(self.unmeasured)
            lines[0] += f" (without {names}: their speed is not measured)"
        if self.build:
            names = ", ".join(f"{family.name} {family.installed_mb:,} MB" for family in self.build)
            lines.append(f"environments to make ready first, once: {names}")
        if self.ready:
            names = ", ".join(family.name for family in self.ready)
            lines.append(f"environments that are ready already: {names}")
        return lines + self.disk_lines()

    def disk_lines(self) -> list[str]:
        """Return what is needed and free on the disk, as lines to report."""
        needed = self.build_mb + self.vectors_mb
        lines = [f"disk: about {needed:,.0f} MB, of {self.free_mb:,.0f} MB free"]
        if needed > self.free_mb:
            lines.append("WARNING: that is more than is free")
        return lines


def estimate_cost(
    layout: Layout, runtime: Runtime, tasks: Sequence[Task], workers: int = 1
) -> Cost:
    """Estimate what some tasks take together.

    Args:
        layout: The store that is to hold the vectors.
        runtime: What is to start the workers.
        tasks: What is to be embedded.
        workers: How many workers do it side by side.

    Returns:
        The cost.
    """
    families = {task.selection.family.name: task.selection.family for task in tasks}.values()
    return Cost(
        build=tuple(f for f in families if not runtime.ready(f)),
        ready=tuple(f for f in families if runtime.ready(f)),
        models=len({task.selection.model_id for task in tasks}),
        systems=sum(task.systems for task in tasks),
        workers=workers,
        seconds=_together(tasks, workers),
        unmeasured=tuple(
            dict.fromkeys(task.selection.model_id for task in tasks if task.seconds is None)
        ),
        vectors_mb=sum(task.vector_bytes for task in tasks) / 1e6,
        free_mb=shutil.disk_usage(nearest_existing(layout.store.parent)).free / 1e6,
    )


def bytes_per_system(
    selection: Selection, representations: Sequence[str], nodes: float = 0.0
) -> float:
    """Return the bytes that one system's vectors take, in a shard and in a vector file together.

    Args:
        selection: The model.
        representations: Names of its representations.
        nodes: See `mean_nodes`.
    """
    found = map(selection.model.find_representation, representations)
    numbers = sum(each.dimension * (nodes if each.pooling == NODES else 1) for each in found)
    return COPIES * NUMBER_BYTES * numbers


def mean_nodes(
    selection: Selection, representations: Sequence[str], dataset: MaterializedDataset
) -> float:
    """Return how many vectors of nodes a system of a dataset has on average, 0 if none are kept.

    Args:
        selection: The model.
        representations: Names of its representations.
        dataset: The dataset, which lies on disk.
    """
    if all(split_name(name)[1] != NODES for name in representations):
        return 0.0
    field = NODE_FIELDS[selection.model.input]
    query = f"SELECT avg(len({field})) FROM read_parquet(?, hive_partitioning = false)"
    with duckdb.connect() as connection:
        ((mean,),) = connection.execute(query, [escape_glob(dataset.systems)]).fetchall()
    return mean or 0.0


def seconds_of(selection: Selection, systems: int) -> float | None:
    """Return how long a model takes for so many systems on 2 CPU cores, as its card was measured.

    Args:
        selection: The model.
        systems: How many systems.

    Returns:
        Seconds without the start; None if the model's speed is not known.
    """
    speed = selection.model.compute.systems_per_second
    return systems / speed if speed else None


def _together(tasks: Sequence[Task], workers: int) -> float:
    """Return how long tasks of measured speed take; models of a family share a worker."""
    measured = [(task, seconds) for task in tasks if (seconds := task.seconds) is not None]
    families = {task.selection.family.name for task, _ in measured}
    starts = START_SECONDS * len(families) + LOAD_SECONDS * (len(measured) - len(families))
    each = [seconds for _, seconds in measured]
    return max((starts + sum(each)) / workers, max(each, default=0.0))


def nearest_existing(path: Path) -> Path:
    """Return the path itself, or the nearest folder above it that exists.

    Args:
        path: Any absolute path.
    """
    return path if path.exists() else nearest_existing(path.parent)


def find_measured(layout: Layout, model_id: str, device: str, dtype: str) -> Measured | None:
    """Find what an earlier run of the model on such a device, in that precision, took.

    Args:
        layout: The store and the files beside it.
        model_id: The model.
        device: The device, such as cpu or cuda:1; its kind matters.
        dtype: The precision.

    Returns:
        What the largest run took; None if there is none.
    """
    if not layout.store.exists():
        return None
    values = {
        "model_id": model_id,
        "kind": device.partition(":")[0],
        "dtype": dtype,
        "cpu": cpu_name(),
        "load": START_SECONDS,
    }
    with connect(layout.store, read_only=True) as connection:
        row = connection.execute(MEASURED, values).fetchone()
    return None if row is None else Measured(*row)


def find_speed(layout: Layout, selection: Selection, device: str, dtype: str) -> float | None:
    """Return how many systems per second a model takes on such a device, once it has started.

    Args:
        layout: The store and the files beside it.
        selection: The model.
        device: The device, such as cpu or cuda:1; its kind matters.
        dtype: The precision.

    Returns:
        What the largest run here took, or on cpu what the card says; None if nobody has measured
        it, or if another process keeps the store from being read.
    """
    try:
        measured = find_measured(layout, selection.model_id, device, dtype)
    except StoreLocked:
        measured = None
    if measured is not None:
        return measured.speed
    return (selection.model.compute.systems_per_second or None) if device == "cpu" else None
