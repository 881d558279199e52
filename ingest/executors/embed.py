"""Embed datasets with models: what `matterzoo ingest` and `matterzoo.ingest` do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ingest.executors import find_executor
from ingest.layout import Layout
from ingest.runs.cost import Task, estimate_cost
from ingest.runs.errors import explain_disk_error
from ingest.runs.plan import count_missing
from ingest.runs.prepare import prepare_dataset, resolve_datasets, split_datasets
from ingest.runs.reporting import report_error
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
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError
from schemas.errors import StoreError, StoreLocked
from zoo.cards.family import Selection
from zoo.command_line import print_now


def embed(
    models: str,
    datasets: str,
    settings: Settings | None = None,
    *,
    store: str | None = None,
    executor: str = "local",
) -> list[str]:
    """Bring the store to hold the vectors of models over datasets.

    What goes wrong with one model, or with one of several datasets, is reported and does not stop
    the others.

    Args:
        models: Ids of models separated by commas, all or bundled; see `choose_models`.
        datasets: Names of datasets separated by commas, or a file, a folder or a glob of
            files of systems.
        settings: How the models are to be run; None is `Settings()`.
        store: The store's path; see `Layout.find`.
        executor: Where the runs are to be started.

    Returns:
        `<model> on <dataset>`, or `<dataset>`, for each failure; an empty list if all went well.

    Raises:
        MatterzooError: What is asked for cannot be done at all; nothing has been computed.
    """
    settings = settings or Settings()
    layout = Layout.find(store)
    selections = choose_models(models)
    for selection in selections:
        choose_representations(selection, settings.representation)  # raises before anything is run
    runtime, why = choose_runtime(settings.runtime, families_of(selections))
    limits = settings.limits(runtime)
    names = split_datasets(datasets)
    # All of them are looked up before anything is computed.
    resolved = resolve_datasets(layout, datasets, settings.name, numbered=settings.numbered)
    found = [dataset.sampled(settings.limit, print_now) for dataset in resolved]
    start = find_executor(executor)
    print_now(f"runtime {runtime.name}: {why}")
    failed: list[str] = []
    requests: dict[str, list[Request]] = {}
    for name, dataset in zip(names, found, strict=True):
        try:
            requests[name] = _prepare(layout, dataset, selections, settings)
        except (DatasetError, StoreError, OSError) as error:
            _report_dataset(layout, dataset.name, error, alone=len(names) == 1)
            failed.append(dataset.name)
    asked_for = [request for group in requests.values() for request in group]
    if len(asked_for) > 1:
        # If the store is locked, it is not known what it lacks; each request waits for its turn.
        with suppress(StoreLocked):
            _report_cost(layout, runtime, asked_for)
    ended = start(layout, runtime, limits).run(asked_for)
    for name, group in requests.items():
        dataset_name = group[0].dataset.dataset
        ids = [r.selection.model_id for r in ended if r.dataset.dataset == dataset_name]
        failed += [f"{model_id} on {dataset_name}" for model_id in ids]
        if ids and len(selections) > 1:
            which = f"{len(ids)} of {len(selections)} models failed: {', '.join(ids)}"
            report_error(
                f"{which}. `{settings.command(ids, name, store)}` continues from what is done"
            )
    return failed


def _prepare(
    layout: Layout, dataset: Dataset, selections: Sequence[Selection], settings: Settings
) -> list[Request]:
    """Have a dataset on disk; return the requests of all models over it."""
    made = prepare_dataset(layout, dataset)
    limit = settings.limit or dataset.sample
    return [make_request(selection, made, limit, settings) for selection in selections]


def _report_cost(layout: Layout, runtime: Runtime, requests: Sequence[Request]) -> None:
    """Report what the work that is left will take; nothing is reported if none is left."""
    tasks = [
        Task(request.selection, request.representations, count_missing(layout, request))
        for request in requests
        if why_inapplicable(request.selection, request.dataset) is None
    ]
    tasks = [task for task in tasks if task.systems]
    if tasks:
        for line in estimate_cost(layout, runtime, tasks).lines():
            print_now(line)


def _report_dataset(layout: Layout, name: str, error: Exception, *, alone: bool) -> None:
    """Report that a dataset could not be embedded; raise the error if it is the only one."""
    fault = explain_disk_error(error, layout) if isinstance(error, OSError) else str(error)
    if alone or fault is None:
        raise error
    report_error(f"{name}: {fault}")
