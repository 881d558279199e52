"""Embed datasets with models: what `matterzoo ingest` and `matterzoo.ingest` do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from ingest.executors import find_executor, load_executors
from ingest.executors.protocol import Executor, Where
from ingest.executors.side_by_side import choose_crew
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.cost import Task, estimate_cost, mean_nodes
from ingest.runs.errors import RequestError, explain_disk_error
from ingest.runs.plan import count_missing, lacks_any
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
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError, StoreLocked
from zoo.cards.family import Selection
from zoo.command_line import print_now
from zoo.machine import count_cores, free_memory

# Called before anything is made; returns the ids of models that are left out.
Offer = Callable[[Layout, Sequence[Selection], Sequence[Dataset]], Collection[str]]


def embed(
    models: str,
    datasets: str,
    settings: Settings | None = None,
    *,
    store: str | None = None,
    where: Where | None = None,
    offer: Offer | None = None,
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
        where: Where the runs are to be started; None is this process.
        offer: Called once the datasets are found, with the store, the models and the datasets,
            before anything is made. It may bring weights here and record their hashes, and returns
            the ids of models that are left out, which count as failed on the datasets of which
            something is missing.

    Returns:
        `<model> on <dataset>`, or `<dataset>`, for each failure; an empty list if all went well,
        or if all that is missing is submitted.

    Raises:
        MatterzooError: What is asked for cannot be done at all; nothing has been computed.
    """
    settings, where = settings or Settings(), where or Where()
    layout = Layout.find(store)
    selections = choose_models(models)
    for selection in selections:
        # It raises before anything is run.
        choose_representations(selection, settings.representation, nodes=settings.nodes)
    executor, runtime = _make_executor(layout, selections, settings, where)
    names = split_datasets(datasets)
    # All of them are looked up before anything is computed.
    resolved = resolve_datasets(layout, datasets, settings.name, numbered=settings.numbered)
    found = [dataset.sampled(settings.limit, print_now) for dataset in resolved]
    left_out = offer(layout, selections, found) if offer else ()
    # The cards are read again, with hashes that were recorded just now.
    selections, out = _set_apart(choose_models(models), left_out)
    failed: list[str] = []
    requests: dict[str, list[Request]] = {}
    lacking: dict[str, list[Request]] = {}  # of models that are left out, and would have been run
    for name, dataset in zip(names, found, strict=True):
        try:
            made = prepare_dataset(layout, dataset, may_load=not executor.schedules)
            left = _make_requests(made, out, settings, dataset.sample)
            lacking[name] = [request for request in left if lacks_any(layout, request)]
            requests[name] = _make_requests(made, selections, settings, dataset.sample)
        except (DatasetError, StoreError, OSError) as error:
            _report_dataset(layout, dataset.name, error, alone=len(names) == 1)
            failed.append(dataset.name)
    asked_for = _leave_out_inapplicable(requests.values())
    if len(asked_for) > 1 and not executor.takes:
        # If the store is locked, it is not known what it lacks; each request waits for its turn.
        with suppress(StoreLocked):
            _report_cost(layout, runtime, asked_for)
    again = settings.command(
        [s.model_id for s in selections],
        datasets,
        str(layout.store) if executor.schedules else store,  # it is kept for later
        where.options,
    )
    ended = executor.run(asked_for, again) if asked_for else []
    again_for = partial(settings.command, store=store, more=where.options)
    return failed + list(_list_failed(requests, ended, lacking, again_for))


def choose_runtime_for(
    executor: type[Executor], settings: Settings, selections: Sequence[Selection]
) -> tuple[Runtime, str]:
    """Choose the runtime with which an executor starts workers.

    Args:
        executor: Where runs are started.
        settings: How the models are to be run.
        selections: The models.

    Returns:
        The runtime, and why it was chosen.

    Raises:
        RequestError: The executor cannot start workers with the runtime that is named.
        NoRuntime: There is none of that name, or this machine cannot use it.
    """
    if not executor.runtimes:
        return choose_runtime(settings.runtime, families_of(selections))
    name = settings.runtime or executor.runtimes[0]
    if name not in executor.runtimes:
        raise RequestError(
            f"runtime {name} cannot be used on {executor.name}; "
            f"--runtime {' or '.join(executor.runtimes)} can"
        )
    return choose_runtime(name, families_of(selections))


def _make_executor(
    layout: Layout, selections: Sequence[Selection], settings: Settings, where: Where
) -> tuple[Executor, Runtime]:
    """Make the executor, and report the runtime with which it starts workers."""
    kind = find_executor(where.on)
    refuse_options(kind, settings, where)
    runtime, why = choose_runtime_for(kind, settings, selections)
    limits = Limits(settings.memory, settings.cpus, settings.timeout)
    if not kind.reserves:
        limits = settings.limits(runtime)
    executor = kind(layout, runtime, limits, where)
    print_now(f"runtime {runtime.name}: {why}")
    return executor, runtime


def refuse_options(executor: type[Executor], settings: Settings, where: Where) -> None:
    """Refuse what an executor would pass over in silence, or cannot take.

    Args:
        executor: Where runs are started.
        settings: How the models are to be run.
        where: The options of executors.

    Raises:
        RequestError: An option is given that the executor does not take as it is.
    """
    surplus = [name for name in where.options if name not in ("--on", *executor.takes)]
    if surplus:
        takers = [kind.name for kind in load_executors().values() if surplus[0] in kind.takes]
        raise RequestError(
            f"{surplus[0]} is for --on {' or '.join(takers)}, not {executor.name}: leave it out"
        )
    if executor.schedules and (settings.memory or settings.cpus):
        raise RequestError(
            f"on {executor.name}, --memory and --cpus are the scheduler's: "
            "give --sbatch='--mem=8G --cpus-per-task=4'"
        )
    executor.check(where, settings)


def _make_requests(
    made: MaterializedDataset,
    selections: Sequence[Selection],
    settings: Settings,
    sample: int | None,
) -> list[Request]:
    """Return the requests of all models over a dataset."""
    limit = settings.limit or sample
    return [make_request(selection, made, limit, settings) for selection in selections]


def _set_apart(
    selections: Sequence[Selection], left_out: Collection[str]
) -> tuple[list[Selection], list[Selection]]:
    """Return the models that are to be run, and those that are left out, by their ids."""
    parts: tuple[list[Selection], list[Selection]] = [], []
    for selection in selections:
        parts[selection.model_id in left_out].append(selection)
    return parts


def _leave_out_inapplicable(groups: Iterable[Sequence[Request]]) -> list[Request]:
    """Return the requests without those that can take no system, which are reported together."""
    kept: list[Request] = []
    left_out: dict[tuple[str, str], list[str]] = {}
    for request in itertools.chain.from_iterable(groups):
        reason = why_inapplicable(request.selection, request.dataset)
        if reason is None:
            kept.append(request)
        else:
            key = request.dataset.dataset, reason
            left_out.setdefault(key, []).append(request.selection.model_id)
    for (dataset, reason), names in left_out.items():
        why = reason if len(names) == 1 else reason.replace("it takes", "each takes", 1)
        print_now(f"{', '.join(names)} on {dataset}: skipped, {why}")
    return kept


def _report_cost(layout: Layout, runtime: Runtime, requests: Sequence[Request]) -> None:
    """Report what the work that is left will take; nothing is reported if none is left."""
    tasks = [
        Task(
            request.selection,
            request.representations,
            count_missing(layout, request),
            mean_nodes(request.selection, request.representations, request.dataset),
        )
        for request in requests
    ]
    tasks = [task for task in tasks if task.systems]
    seconds = [task.seconds or 0.0 for task in tasks]
    devices = [request.device for request in requests]
    crew = choose_crew(runtime, devices, seconds, count_cores(), free_memory())
    if tasks:
        for line in estimate_cost(layout, runtime, tasks, crew.workers).lines():
            print_now(line)


def _list_failed(
    requests: Mapping[str, Sequence[Request]],
    ended: Sequence[Request],
    lacking: Mapping[str, Sequence[Request]],
    again_for: Callable[[list[str], str], str],
) -> Iterator[str]:
    """Yield `<model> on <dataset>` for each failure; of several models, report which failed."""
    for name, group in requests.items():
        datasets = {request.dataset.dataset for request in group}
        lost = [request for request in ended if request.dataset.dataset in datasets]
        lost += lacking[name]
        yield from (f"{each.selection.model_id} on {each.dataset.dataset}" for each in lost)
        ids, total = [each.selection.model_id for each in lost], len(group) + len(lacking[name])
        if ids and total > 1:
            which = f"{len(ids)} of {total} models failed: {', '.join(ids)}"
            report_error(f"{which}. `{again_for(ids, name)}` continues from what is done")


def _report_dataset(layout: Layout, name: str, error: Exception, *, alone: bool) -> None:
    """Report that a dataset could not be embedded; raise the error if it is the only one."""
    fault = explain_disk_error(error, layout) if isinstance(error, OSError) else str(error)
    if alone or fault is None:
        raise error
    report_error(f"{name}: {fault}")
