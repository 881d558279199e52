"""`make plan`: what embedding a dataset with a model will take and cost, told before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from ingest.layout import Layout, escape_glob
from ingest.maintenance.disk import megabytes
from ingest.runs.cost import COPIES, LOAD, duration
from ingest.runs.plan import Request, count_missing, why_inapplicable
from ingest.runtimes.protocol import Runtime
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.sources.shared.source import describe_files
from ingest.systems.dataset import Dataset
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from zoo.cards.family import Selection
from zoo.terminal import license_line
from zoo.weights.local import find_weights, needed_files
from zoo.worker.device import cpu_name

SIZES = {  # of a system, in the unit of a card's compute.scales_with; tokens are about the letters of a text
    "atoms": "coalesce(len(numbers), 4 * len(sequence))",
    "tokens": "coalesce(len(sequence), len(smiles), 12 * len(numbers))",
    "systems": "1",
}
# The largest run here on such a device. For a CPU its name has to be this one's.
MEASURED = """
SELECT sent / len(representations) / greatest(seconds - $load, seconds / 2) AS speed, peak_memory FROM runs
WHERE model_id = $model_id AND status = 'ok' AND runtime != 'fetched' AND seconds > 0
AND split_part(device, ':', 1) = $kind AND ($kind != 'cpu' OR device_name = $cpu) AND sent > 0
ORDER BY sent DESC, finished DESC LIMIT 1
"""


@dataclass(frozen=True)
class Earlier:
    """What a run of the model on such a device took."""

    speed: float  # systems/s, about, once it has started
    memory: int | None  # bytes


def of_dataset(dataset: Dataset, made: MaterializedDataset | None) -> Iterator[str]:
    """What has to happen before the first model can start."""
    if made is not None:
        yield f"dataset {dataset.name}: {made.n_systems:,} systems, at hand"
        return
    count = (
        f"{dataset.sample or dataset.approx_systems or 0:,} systems, "
        if dataset.approx_systems
        else ""
    )
    time = f", about {duration(dataset.approx_seconds)}" if dataset.approx_seconds else ""
    yield f"dataset {dataset.name}: {count}to be made first{time}"
    if isinstance(dataset, DownloadedDataset):
        yield from _downloads(dataset)


def _downloads(dataset: DownloadedDataset) -> Iterator[str]:
    files = dataset.loader.source
    about = files.facts
    if files.missing:
        yield f"  download: {describe_files(files.missing)}, to {files.folder}"
    if about.besides:
        yield f"  and besides: {about.besides}"
    use = "" if about.license.commercial else ", not for commercial use"
    gate = ", to be accepted first" if about.license.gated else ""
    yield f"  license: {about.license.name}{use}{gate}, {about.license.url or about.license.no_url_because}"


def of_model(
    layout: Layout,
    runtime: Runtime,
    dataset: Dataset,
    request: Request | None,
    asked: Selection,
    systems: int | None,
) -> Iterator[str]:
    """What one model will take. request: None where the dataset has still to be made. systems: see `systems_of`."""
    reason = None if request is None else why_inapplicable(asked, request.dataset)
    if reason is not None:
        yield f"{asked.model_id}: nothing to do, {reason}"
        return
    total = dataset.sample or dataset.approx_systems if request is None else request.systems
    stored = f", of {total:,}" if systems != total and total is not None else ""
    known = "a number of" if systems is None else f"{systems:,}"
    yield f"{asked.model_id}: {known} systems to embed{stored}"
    if systems:
        device = "cpu" if request is None else request.device
        earlier = _earlier(layout, asked.model_id, device)
        yield f"  time: {_time(asked, systems, device, earlier)}"
        yield f"  memory: {_memory(asked, device, earlier)}"
        yield f"  batches: {_batches(request, systems)}"
        vectors = COPIES * 4 * _numbers(asked, request) * systems
        yield f"  vectors: {megabytes(vectors)}, in shards and in the store"
    yield f"  weights: {_weights(asked)}"
    built = runtime.ready(asked.family)
    yield f"  environment: {'is there' if built else f'{asked.family.installed_mb:,} MB to make ready first'}"
    license = license_line(asked.model.license_weights, "the weights")
    if license:
        yield f"  {license}"


def systems_of(layout: Layout, dataset: Dataset, request: Request | None) -> int | None:
    """How many systems are still to be embedded; None where nobody knows yet how many there are."""
    if request is None:
        return dataset.sample or dataset.approx_systems
    return (
        0
        if why_inapplicable(request.selection, request.dataset)
        else count_missing(layout, request)
    )


def _time(asked: Selection, systems: int, device: str, earlier: Earlier | None) -> str:
    if earlier is not None:
        return f"about {duration(LOAD + systems / earlier.speed)} on {device}, by an earlier run on such a device"
    speed = asked.model.compute.systems_per_second
    if speed is None:
        return f"not measured on {device} yet; LIMIT=100 tells"
    return f"about {duration(LOAD + systems / speed)} on 2 CPU cores, as its card was measured"


def _memory(asked: Selection, device: str, earlier: Earlier | None) -> str:
    if earlier is not None and earlier.memory:
        return (
            f"{megabytes(earlier.memory)} of the host's at the peak of an earlier run on {device}"
        )
    parameters = asked.model.compute.parameters
    return f"at least {megabytes(4 * parameters)}, its {parameters:,} parameters; the rest is not measured yet"


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


def _numbers(asked: Selection, request: Request | None) -> int:
    names = (asked.model.default_representation,) if request is None else request.representations
    return sum(r.dimension for r in asked.model.representation if r.name in names)


def _weights(asked: Selection) -> str:
    files = needed_files(asked)
    if not files:
        return "nothing to download"
    if find_weights(asked) is not None:
        return "at hand"
    if not asked.model.weights.pinned(untrained=asked.untrained):
        return f"to be downloaded; how large is known once `make pin MODEL={asked.model.id}` has recorded it"
    return f"{len(files)} files to download, {megabytes(sum(file.size or 0 for file in files))}"


def _earlier(layout: Layout, model_id: str, device: str) -> Earlier | None:
    if not layout.store.exists():
        return None
    with connect(layout.store, read_only=True) as connection:
        values = {
            "model_id": model_id,
            "kind": device.partition(":")[0],
            "cpu": cpu_name(),
            "load": LOAD,
        }
        row = connection.execute(MEASURED, values).fetchone()
    return None if row is None else Earlier(*row)
