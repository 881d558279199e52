"""Foresee what embedding a dataset with models will take: what `matterzoo plan` shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from ingest.layout import Layout
from ingest.maintenance.missing_weights import weights_warnings
from ingest.runs.cost import (
    START_SECONDS,
    Measured,
    Task,
    bytes_per_system,
    estimate_cost,
    find_measured,
    mean_nodes,
)
from ingest.runs.plan import count_missing
from ingest.runs.prepare import find_made, resolve_datasets
from ingest.runs.request import (
    Request,
    Settings,
    choose_models,
    choose_representations,
    families_of,
    make_request,
    why_inapplicable,
)
from ingest.runtimes import choose_runtime
from ingest.runtimes.protocol import Runtime
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.sources.shared.source import describe_files
from ingest.systems.dataset import Dataset
from ingest.systems.materialized import MaterializedDataset
from schemas.paths import escape_glob
from zoo.cards.family import Selection
from zoo.command_line import print_now
from zoo.terminal import duration, megabytes, plural
from zoo.weights.access import Access, find_access, is_missing
from zoo.weights.local import missing_files, needed_files

# The size of a system in the unit of a card's compute.scales_with; tokens are about the letters of
# a text.
SIZES = {
    "atoms": "coalesce(len(numbers), 4 * len(sequence))",
    "tokens": "coalesce(len(sequence), len(smiles), 12 * len(numbers))",
    "systems": "1",
}


@dataclass(frozen=True)
class _Foreseen:
    """One model over the dataset.

    Attributes:
        selection: The model.
        representations: Names of those that are asked for.
        device: Where the model is to run.
        dtype: The precision in which it is to run.
        request: The request; None if the dataset has still to be made.
        systems: How many systems are to be embedded; None if nobody knows yet.
        nodes: How many vectors of nodes one has on average; None if nobody knows yet.
    """

    selection: Selection
    representations: tuple[str, ...]
    device: str
    dtype: str
    request: Request | None
    systems: int | None
    nodes: float | None


def forecast(
    models: str, datasets: str, settings: Settings | None = None, *, store: str | None = None
) -> Iterator[str]:
    """Foresee what embedding datasets with models will take. Nothing is made, nothing downloaded.

    Args:
        models: Ids of models separated by commas, all or bundled; see `choose_models`.
        datasets: Names of datasets separated by commas, or a file, a folder or a glob of files.
        settings: How the models are to be run; None is `Settings()`.
        store: The store's path; see `Layout.find`.

    Yields:
        Lines on the runtime, each dataset and each model, and the disk.

    Raises:
        MatterzooError: What is asked for cannot be done.
    """
    settings = settings or Settings()
    layout = Layout.find(store)
    selections = choose_models(models)
    runtime, why = choose_runtime(settings.runtime, families_of(selections))
    resolved = resolve_datasets(layout, datasets, settings.name, numbered=settings.numbered)
    found = [dataset.sampled(settings.limit, print_now) for dataset in resolved]
    yield f"runtime {runtime.name}: {why}"
    tasks = []
    for dataset in found:
        made = find_made(layout, dataset)
        yield from describe_dataset(dataset, made)
        for selection in selections:
            foreseen = _foresee(layout, dataset, made, selection, settings)
            yield from _describe_model(layout, runtime, dataset, foreseen)
            if foreseen.systems:
                names = foreseen.representations
                tasks.append(Task(selection, names, foreseen.systems, foreseen.nodes or 0.0))
    yield from estimate_cost(layout, runtime, tasks).disk_lines()


def _foresee(
    layout: Layout,
    dataset: Dataset,
    made: MaterializedDataset | None,
    selection: Selection,
    settings: Settings,
) -> _Foreseen:
    """Find how many systems a model is to embed."""
    names = choose_representations(selection, settings.representation, nodes=settings.nodes)
    dtype = settings.dtype or selection.model.dtype
    if made is None:
        systems = dataset.sample or dataset.approx_systems
        nodes = None if settings.nodes else 0.0
        return _Foreseen(selection, names, settings.device, dtype, None, systems, nodes)
    request = make_request(selection, made, settings.limit or dataset.sample, settings)
    missing = 0 if why_inapplicable(selection, made) else count_missing(layout, request)
    nodes = mean_nodes(selection, names, made)
    return _Foreseen(selection, names, settings.device, dtype, request, missing, nodes)


def describe_dataset(dataset: Dataset, made: MaterializedDataset | None) -> Iterator[str]:
    """Describe what has to happen before the first model can start.

    Args:
        dataset: The dataset, sampled as asked for.
        made: The dataset on disk; None if it is not there.

    Yields:
        Lines.
    """
    if made is not None:
        yield f"dataset {dataset.name}: {made.n_systems:,} systems, here"
        return
    systems = dataset.sample or dataset.approx_systems or 0
    count = f"{systems:,} systems, " if dataset.approx_systems else ""
    time = f", about {duration(dataset.approx_seconds)}" if dataset.approx_seconds else ""
    yield f"dataset {dataset.name}: {count}to be made first{time}"
    if isinstance(dataset, DownloadedDataset):
        yield from _describe_downloads(dataset)


def _describe_downloads(dataset: DownloadedDataset) -> Iterator[str]:
    files = dataset.loader.source
    about = files.facts
    if files.missing:
        yield f"  download: {describe_files(files.missing)}, to {files.folder}"
    if about.besides:
        yield f"  and besides: {about.besides}"
    use = "" if about.license.commercial else ", not for commercial use"
    gate = f", {about.license.gate}" if about.license.gated else ""
    link = about.license.url or about.license.no_url_because
    yield f"  license: {about.license.name}{use}{gate}, {link}"


def _describe_model(
    layout: Layout, runtime: Runtime, dataset: Dataset, foreseen: _Foreseen
) -> Iterator[str]:
    """Describe what one model will take."""
    selection, request, systems = foreseen.selection, foreseen.request, foreseen.systems
    reason = None if request is None else why_inapplicable(selection, request.dataset)
    if reason is not None:
        yield f"{selection.model_id}: nothing to do, {reason}"
        return
    total = dataset.sample or dataset.approx_systems if request is None else request.systems
    of = f", of {total:,}" if systems != total and total is not None else ""
    known = "a number of" if systems is None else f"{systems:,}"
    yield f"{selection.model_id}: {known} systems to embed{of}"
    if systems == 0:
        return  # nothing is loaded either
    if systems:
        yield from _describe_work(layout, foreseen, systems)
    access = find_access(selection) if is_missing(selection) else None
    yield f"  weights: {_weights(selection, access)}"
    if access is not None:
        lines = weights_warnings(selection, access.obstacle)
        yield from (f"  WARNING: {line}" for line in lines)
    missing = f"{selection.family.installed_mb:,} MB to make ready first"
    yield f"  {runtime.basis}: {'ready' if runtime.ready(selection.family) else missing}"
    notice = selection.model.license_weights.notice("the weights")
    if notice:
        yield f"  {notice}"


def _describe_work(layout: Layout, foreseen: _Foreseen, systems: int) -> Iterator[str]:
    selection, device = foreseen.selection, foreseen.device
    measured = find_measured(layout, selection.model_id, device, foreseen.dtype)
    yield f"  time: {_time(selection, systems, device, measured)}"
    yield f"  memory: {_memory(foreseen, measured)}"
    yield f"  batches: {_batches(foreseen.request, systems)}"
    yield from _describe_vectors(foreseen, systems)


def _describe_vectors(foreseen: _Foreseen, systems: int) -> Iterator[str]:
    selection, names, nodes = foreseen.selection, foreseen.representations, foreseen.nodes
    of_systems = systems * bytes_per_system(selection, names)
    yield f"  vectors: {megabytes(of_systems)}, half of it only until the run is done"
    if nodes is None:
        yield "  vectors of nodes: known once the dataset is there"
    elif nodes:
        more = systems * bytes_per_system(selection, names, nodes) - of_systems
        count = f"{systems * nodes:,.0f} nodes, {nodes:.1f} per system"
        yield f"  vectors of nodes: {megabytes(more)}, of {count}; half of it only until then"


def _time(selection: Selection, systems: int, device: str, measured: Measured | None) -> str:
    if measured is not None:
        time = duration(START_SECONDS + systems / measured.speed)
        return f"about {time} on {device}, by an earlier run on such a device"
    speed = selection.model.compute.systems_per_second
    if speed is None:
        return f"not measured on {device} yet; a run with --limit 100 would tell"
    time = duration(START_SECONDS + systems / speed)
    return f"about {time} on 2 CPU cores, as its card was measured"


def _memory(foreseen: _Foreseen, measured: Measured | None) -> str:
    selection, dtype = foreseen.selection, foreseen.dtype
    if measured is not None and measured.memory:
        peak = megabytes(measured.memory)
        return f"{peak} of the host's at the peak of an earlier run on {foreseen.device}"
    least, loading = selection.model.parameter_bytes(dtype), _bytes_at_load(selection, dtype)
    what = f"its {selection.model.compute.parameters:,} parameters in {dtype}"
    more = f", and {megabytes(loading)} of the host's while it loads" if loading > least else ""
    return f"at least {megabytes(least)}, {what}{more}; the rest is not measured yet"


def _bytes_at_load(selection: Selection, dtype: str) -> int:
    """Return what a model takes on the host while it loads; a pickle is read whole.

    A network may lie in its file in a wider precision than the one in which it runs.
    """
    compute = selection.model.compute
    pickled = selection.model.weights.format == "pickle"
    files = sum(file.size or 0 for file in needed_files(selection)) if pickled else 0
    return max(compute.copies_at_load * selection.model.parameter_bytes(dtype), files)


def _batches(request: Request | None, systems: int) -> str:
    if request is None:
        return "known once the dataset is there"
    compute = request.selection.model.compute
    budget = request.batch or compute.batch
    with duckdb.connect() as connection:
        mean_size = f"SELECT avg(least({SIZES[compute.scales_with]}, $budget))"
        query = f"{mean_size} FROM read_parquet($systems, hive_partitioning = false)"
        values = {"budget": budget, "systems": escape_glob(request.dataset.systems)}
        ((mean,),) = connection.execute(query, values).fetchall()
    count = max(1, round(systems * (mean or 1.0) / budget))
    return f"about {count:,}, of at most {budget:,} {compute.scales_with}"


def _weights(selection: Selection, access: Access | None) -> str:
    files = missing_files(selection)
    if access is None:
        return "here" if needed_files(selection) else "nothing to download"
    known = sum(file.size or 0 for file in files)
    size = f"{megabytes(known)} where it is known" if known else "of unknown size"
    size = size if access.size is None else megabytes(access.size)
    return f"{plural(len(files), 'file')} to download, {size}"
