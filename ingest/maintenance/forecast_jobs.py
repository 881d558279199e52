"""Foresee what embedding a dataset on a cluster will take: `matterzoo plan … --on slurm|ray`.

Nothing is made, downloaded or submitted. What is asked of the dataset is asked once for all models.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ingest.executors import find_executor
from ingest.executors.embed import choose_runtime_for
from ingest.executors.protocol import Where
from ingest.executors.shared.grouping import Chunk, group
from ingest.executors.slurm.engine import USUAL_ARRAY_SIZE, SlurmError, max_array_size
from ingest.layout import Layout
from ingest.maintenance.forecast import describe_dataset
from ingest.maintenance.missing_weights import weights_warnings
from ingest.runs.chunks.cut import CHUNK_SYSTEMS
from ingest.runs.cost import (
    COPIES,
    bytes_per_system,
    find_speed,
    mean_nodes,
    nearest_existing,
)
from ingest.runs.plan import count_chunks
from ingest.runs.prepare import find_made, resolve_datasets
from ingest.runs.request import (
    Settings,
    choose_models,
    choose_representations,
    families_of,
    make_request,
    why_inapplicable,
)
from ingest.runtimes.protocol import Runtime
from ingest.systems.dataset import Dataset
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.family import Selection
from zoo.command_line import print_now
from zoo.terminal import duration, plural
from zoo.weights.access import find_access, is_missing
from zoo.weights.local import missing_files

SHOWN = 5  # names of models in a line
UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6))


@dataclass(frozen=True)
class _Model:
    """What a model will take.

    Attributes:
        selection: The model.
        chunks: How many systems each chunk has that is to be computed; None if nobody knows
            before the dataset is made.
        speed: Systems per second, on the device that is asked for; None if it is not measured.
        vector_bytes: What its vectors take on disk.
    """

    selection: Selection
    chunks: list[int] | None
    speed: float | None
    vector_bytes: int

    @property
    def systems(self) -> int:
        return sum(self.chunks or ())

    @property
    def seconds(self) -> float | None:
        return self.systems / self.speed if self.speed else None

    def line(self) -> str:
        if self.chunks is None:
            return f"  {self.selection.model_id}: a number of systems that nobody knows yet"
        said = f"{plural(self.systems, 'system')} to embed in {plural(len(self.chunks), 'chunk')}"
        took = "" if self.seconds is None else f", about {duration(self.seconds)}"
        return f"  {self.selection.model_id}: {said}{took}"


def forecast_jobs(
    models: str, datasets: str, settings: Settings, where: Where, *, store: str | None = None
) -> Iterator[str]:
    """Foresee what embedding a dataset with models on a cluster will take.

    Args:
        models: Ids of models separated by commas, all or bundled; see `choose_models`.
        datasets: As `ingest.executors.embed.embed` takes them.
        settings: How the models are to be run.
        where: The options of the executor.
        store: The store's path; see `Layout.find`.

    Yields:
        Lines on the datasets, each model, jobs, time, disk, and what is to be staged.

    Raises:
        MatterzooError: What is asked for cannot be done.
    """
    layout = Layout.find(store)
    selections = choose_models(models)
    runtime, _ = choose_runtime_for(find_executor(where.on), settings, selections)
    resolved = resolve_datasets(layout, datasets, settings.name, numbered=settings.numbered)
    foreseen, absent, unsized = [], [], []
    for dataset in [each.sampled(settings.limit, print_now) for each in resolved]:
        made = find_made(layout, dataset)
        yield from describe_dataset(dataset, made)
        absent += [dataset.name] if made is None else []
        models_of = list(_foresee(layout, dataset, made, selections, settings))
        unsized += [dataset.name] if any(model.chunks is None for model in models_of) else []
        yield from (model.line() for model in models_of)
        foreseen += models_of
    if unsized:
        yield f"jobs, time and disk of {', '.join(unsized)} are not known until it is made"
    if len(unsized) < len(resolved):
        yield _describe_jobs(foreseen, where)
        yield _describe_time(foreseen, settings.device)
        yield from _describe_disk(layout, foreseen)
    unique = list({model.selection.model_id: model.selection for model in foreseen}.values())
    yield _describe_staging(absent, runtime, unique)
    for selection in filter(is_missing, unique):
        lines = weights_warnings(selection, find_access(selection).obstacle)
        yield from (f"WARNING: {line}" for line in lines)


def _foresee(
    layout: Layout,
    dataset: Dataset,
    made: MaterializedDataset | None,
    selections: Sequence[Selection],
    settings: Settings,
) -> Iterator[_Model]:
    """Find what each model has to compute; models that can take no system are left out."""
    if made is None:
        total = settings.limit or dataset.sample or dataset.approx_systems
        chunks = None
        if total is not None:
            starts = range(0, total, CHUNK_SYSTEMS)
            chunks = [min(CHUNK_SYSTEMS, total - start) for start in starts]
        for selection in selections:
            yield _model(layout, selection, chunks, settings, made)
        return
    by_input = {selection.model.input: selection for selection in selections}
    applicable = {kind: why_inapplicable(s, made) is None for kind, s in by_input.items()}
    chosen = [selection for selection in selections if applicable[selection.model.input]]
    limit = settings.limit or dataset.sample
    requests = [make_request(selection, made, limit, settings) for selection in chosen]
    for selection, chunks in zip(chosen, count_chunks(layout, requests), strict=True):
        yield _model(layout, selection, chunks, settings, made)


def _model(
    layout: Layout,
    selection: Selection,
    chunks: list[int] | None,
    settings: Settings,
    made: MaterializedDataset | None,
) -> _Model:
    dtype = settings.dtype or selection.model.dtype
    speed = find_speed(layout, selection, settings.device, dtype)
    names = choose_representations(selection, settings.representation, nodes=settings.nodes)
    nodes = 0.0 if made is None else mean_nodes(selection, names, made)
    size = round(sum(chunks or ()) * bytes_per_system(selection, names, nodes) / COPIES)
    return _Model(selection, chunks, speed, size)


def _describe_jobs(models: Sequence[_Model], where: Where) -> str:
    """Say how many chunks and tasks there are; an array has a limit, and Ray has none."""
    chunks = [
        Chunk(
            f"{i}", m.selection.family.name, m.selection.model_id, n / m.speed if m.speed else None
        )
        for m in models
        for i, n in enumerate(m.chunks or ())
    ]
    if not find_executor(where.on).schedules:
        tasks = len(group(chunks, max(1, len(chunks)), where.per_task))
        return f"tasks: {plural(len(chunks), 'chunk')} in {plural(tasks, 'task')}"
    try:
        most, whose = max_array_size(), "this cluster's MaxArraySize"
    except SlurmError:
        most, whose = USUAL_ARRAY_SIZE, "Slurm's default, since Slurm does not answer here"
    tasks = len(group(chunks, most, where.per_task))
    said = f"{plural(len(chunks), 'chunk')} in {plural(tasks, 'task')}"
    return f"jobs: {said}, of at most {most:,} ({whose})"


def _describe_time(models: Sequence[_Model], device: str) -> str:
    """Say how many hours of a device all of it takes, and what of it nobody knows."""
    unit = "hours of 2 CPU cores" if device == "cpu" else "GPU-hours"
    hours = sum(model.seconds or 0.0 for model in models) / 3600
    unknown = [model.selection.model_id for model in models if model.speed is None and model.chunks]
    if not unknown:
        return f"time: about {hours:,.1f} {unit}"
    names = ", ".join(unknown[:SHOWN])
    more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    known = f"about {hours:,.1f} {unit}, and that of" if hours else f"the {unit} of"
    return (
        f"time: {known} {names}{more}, which nobody has measured on {device}; "
        f"`matterzoo ingest … --limit 1000 --device {device}` would tell"
    )


def _describe_disk(layout: Layout, models: Sequence[_Model]) -> Iterator[str]:
    needed = sum(model.vector_bytes for model in models)
    free = shutil.disk_usage(nearest_existing(layout.store.parent)).free
    yield f"disk: about {_size(needed)} of vectors, of {_size(free)} free"
    if needed > free:
        yield "WARNING: that is more than is free"


def _describe_staging(
    absent: Sequence[str], runtime: Runtime, selections: Sequence[Selection]
) -> str:
    """Say what is to be made ready here, before anything is started."""
    parts = [f"dataset {name}" for name in absent]
    missing = [selection for selection in selections if is_missing(selection)]
    if missing:
        files = chain.from_iterable(map(missing_files, missing))
        size = _size(sum(file.size or 0 for file in files))
        parts.append(f"weights of {plural(len(missing), 'model')}, {size} where it is known")
    build = [family for family in families_of(selections) if not runtime.ready(family)]
    if build:
        size = _size(sum(family.installed_mb for family in build) * 10**6)
        parts.append(f"{runtime.basis}s of {len(build)} families, {size}")
    lacking = [reason for family in build if (reason := runtime.lacking(family))]
    if lacking:
        parts.append(f"which cannot be had for {len(lacking)}: {lacking[0]}")
    return f"to stage from here: {'; '.join(parts) or 'nothing, all of it is here'}"


def _size(count: int) -> str:
    """Return a number of bytes in the largest unit of which there is one."""
    name, unit = next(((n, u) for n, u in UNITS if count >= u), UNITS[-1])
    return f"{count / unit:,.1f} {name}"
