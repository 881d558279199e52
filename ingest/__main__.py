"""python -m ingest: bring the store to hold the vectors of a model over a dataset, and keep house."""

from __future__ import annotations

import argparse
import errno
import shlex
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

import duckdb

from ingest.arguments import parse
from ingest.failures import NoRuntime, RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.maintenance import datasets as listing
from ingest.maintenance import forecast
from ingest.maintenance.confirm import confirm
from ingest.maintenance.disk import clean_cache, clean_environment, clean_models, megabytes, usage
from ingest.maintenance.rebuild import rebuild
from ingest.runs.cost import Task, duration, estimate, say_cost
from ingest.runs.errors import RequestError, RunBusy, ShardError, VectorsError
from ingest.runs.execute import Ingest, say
from ingest.runs.import_vectors import ImportedVectors, import_vectors
from ingest.runs.load import finish_interrupted_loads
from ingest.runs.plan import Request, choose_representations, count_missing, why_inapplicable
from ingest.runs.progress import counting
from ingest.runs.store.waiting import PATIENCE, SHORT_PATIENCE, retry_while_locked
from ingest.runtimes import choose_runtime, environment
from ingest.runtimes.check_model import check_model
from ingest.runtimes.protocol import Runtime
from ingest.share.fetch import fetch_vectors
from ingest.share.offer import read_offer
from ingest.share.publish import publish_vectors
from ingest.share.record import ShareError
from ingest.sources.discovery import find_dataset
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.errors import StoreError, StoreLocked
from schemas.interrupt import listen
from schemas.store import update
from zoo.cards.base import CardError
from zoo.cards.discovery import find_families, find_model, load_models
from zoo.cards.family import Family, Selection
from zoo.cards.twins import TWIN
from zoo.files import is_disk_full
from zoo.weights.local import find_weights
from zoo.worker.errors import DiskFullError

USER_ERRORS = (
    CardError,
    DatasetError,
    RequestError,
    StoreError,
    VectorsError,
    ShareError,
    NoRuntime,
)
RUN_ERRORS = (RunError, ShardError)


def choose_models(names: str) -> list[Selection]:
    """'a,b@untrained', each once.

    'all' is every model whose weights are downloaded, 'bundled' every one that needs no download of its own;
    'all@untrained' and 'bundled@untrained' are their twins.
    """
    chosen: dict[str, Selection] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        many = name.removesuffix(TWIN)
        if many in ("all", "bundled"):
            found = [
                s
                for s in load_models().values()
                if s.model.bundled or (many == "all" and find_weights(s))
            ]
            if many != name:
                found = [selection.twin() for selection in found if selection.model.trainable]
        else:
            found = [find_model(name)]
        chosen |= {selection.model_id: selection for selection in found}
    if not chosen:
        raise CardError(
            "no model is named; give ids separated by commas, all or bundled. `make list` shows them"
        )
    return list(chosen.values())


def families_of(selections: Sequence[Selection]) -> list[Family]:
    """The families of these models, each once."""
    return list({s.family.name: s.family for s in selections}.values())


def run(options: argparse.Namespace) -> int:
    layout = Layout.find(options.store)
    names = (
        [options.dataset]
        if Path(options.dataset).exists()
        else _named(options.dataset) or [options.dataset]
    )
    each = [argparse.Namespace(**{**vars(options), "dataset": name}) for name in names]
    if options.vectors is not None:
        if len(each) > 1:
            raise RequestError(
                f"VECTORS= are of one dataset, not of {len(each)}: {options.dataset}"
            )
        return run_vectors(layout, each[0])
    selections = choose_models(options.model)
    chosen = [(s, choose_representations(s, options.representation)) for s in selections]
    runtime, why = choose_runtime(options.runtime, families_of(selections))
    limits = limits_of(options, runtime)
    datasets = [
        _dataset(layout, name).sampled(options.limit, say) for name in names
    ]  # all, before anything is computed
    say(f"runtime {runtime.name}: {why}")
    ingest = Ingest(layout, runtime, limits)
    codes = []
    for its_options, dataset in zip(each, datasets, strict=True):
        try:
            codes.append(run_on(ingest, dataset, chosen, its_options))
        except (DatasetError, StoreError, OSError) as error:
            fault = _of_the_disk(error, layout) if isinstance(error, OSError) else str(error)
            if len(each) == 1 or fault is None:
                raise
            _tell(f"{dataset.name}: {fault}")
            codes.append(1)
    return max(codes)


def run_on(
    ingest: Ingest,
    dataset: Dataset,
    chosen: Sequence[tuple[Selection, tuple[str, ...]]],
    options: argparse.Namespace,
) -> int:
    """Embed one dataset with these models. Returns the exit code."""
    made = prepare(ingest.layout, dataset)
    limit = options.limit or dataset.sample
    requests = [
        Request(s, made, names, limit, options.device, options.dtype, options.batch)
        for s, names in chosen
    ]
    if len(requests) > 1:
        with suppress(
            StoreLocked
        ):  # then it is not known what is stored; each of them waits for its turn
            tell_cost(ingest.layout, ingest.runtime, requests)
    return run_all(ingest, requests, partial(goes_on, options))


def limits_of(options: argparse.Namespace, runtime: Runtime) -> Limits:
    """What the worker may take. Raises RequestError where the runtime cannot see to it."""
    if not runtime.confines and (options.memory or options.cpus):
        raise RequestError(
            f"runtime {runtime.name} cannot keep a worker within MEMORY= or CPUS=; RUNTIME=docker can"
        )
    return Limits(options.memory, options.cpus, options.timeout)


def tell_cost(layout: Layout, runtime: Runtime, requests: Sequence[Request]) -> None:
    """What is still to be done will take; nothing is said where nothing is."""
    possible = [
        request
        for request in requests
        if why_inapplicable(request.selection, request.dataset) is None
    ]
    work = [
        Task(request.selection, request.representations, count_missing(layout, request))
        for request in possible
    ]
    work = [task for task in work if task.systems]
    if work:
        say_cost(estimate(layout, runtime, work), say)


def run_all(
    ingest: Ingest, requests: Sequence[Request], command: Callable[[Collection[str]], str]
) -> int:
    """Ingest one request after another; one that fails does not keep the rest from being done. Returns the exit code.

    Of several, those whose run or store another process is busy with are tried once more after the others.
    command: what a user types to go on with these models.
    """
    many = len(requests) > 1
    places = {
        w.selection.model_id: f"[{i} of {len(requests)}] " if many else ""
        for i, w in enumerate(requests, start=1)
    }
    failed: list[str] = []
    later = _ingest_each(ingest, requests, places, SHORT_PATIENCE, failed, wait=many)
    _ingest_each(ingest, later, places, PATIENCE, failed, wait=False)
    for model_id, fault in ingest.finish().items():
        _tell(
            f"the vectors of {model_id} are computed, and not in the store: {fault}; repeat the command to load them"
        )
        failed.append(model_id)
    if failed and many:
        which = f"{len(failed)} of {len(requests)} models failed: {', '.join(failed)}"
        _tell(f"{which}. `{command(failed)}` goes on from what is done")
    return 1 if failed else 0


def _ingest_each(
    ingest: Ingest,
    requests: Sequence[Request],
    places: Mapping[str, str],
    patience: float,
    failed: list[str],
    wait: bool,
) -> list[Request]:
    """Ingest these, adding to `failed`. Returns those to be tried again: with `wait`, what others are busy with."""
    busy = []
    for request in requests:
        model_id = request.selection.model_id
        try:
            ingest(request, places[model_id], patience=patience)
        except duckdb.InterruptException:
            raise
        except (*RUN_ERRORS, StoreError, RequestError, duckdb.Error) as error:
            if wait and isinstance(error, StoreLocked | RunBusy):
                say(f"{places[model_id]}{model_id}: tried again after the others, since {error}")
                busy.append(request)
            else:
                _tell(f"{model_id} on {request.dataset.dataset}: {error}")
                failed.append(model_id)
        except OSError as error:
            fault = _of_the_disk(error, ingest.layout)
            if fault is None:
                raise
            _tell(f"{model_id} on {request.dataset.dataset}: {fault}")
            failed.append(model_id)
    return busy


def _tell(fault: str) -> None:
    print(f"error: {fault}", file=sys.stderr, flush=True)


def goes_on(options: argparse.Namespace, models: Collection[str]) -> str:
    """The command that goes on with these of a run's models."""
    given = {"MODEL": ",".join(models), "DATASET": options.dataset, **how(options)}
    if options.store is not None:
        given["MATTERZOO_STORE"] = options.store
    return "make ingest " + " ".join(
        f"{name}={shlex.quote(value)}" for name, value in given.items()
    )


def how(options: argparse.Namespace) -> dict[str, str]:
    """What a run was told about the way, as variables of make; what is as usual is left out."""
    usual = parse(["run", "a model", "a dataset"])
    told = {}
    for name in (
        "device",
        "dtype",
        "batch",
        "limit",
        "runtime",
        "memory",
        "cpus",
        "timeout",
        "representation",
    ):
        value = vars(options)[name]
        if value != vars(usual)[name]:
            told[name.upper()] = f"{value // 2**20}m" if name == "memory" else f"{value}"
    return told


def _refuse_how(options: argparse.Namespace, dataset: Dataset) -> None:
    """Vectors that are given are not computed, and all of them are taken: what says how would be ignored."""
    told = how(options)
    if isinstance(dataset, DownloadedDataset):
        told.pop("LIMIT", None)  # how much of a large dataset is drawn
    if told:
        raise RequestError(
            f"VECTORS= are taken as they are, and all of them: leave out {', '.join(told)}"
        )


def _dataset(layout: Layout, name: str) -> Dataset:
    """A dataset by its name or file; also by the name of one that was made of a file that is still there."""
    try:
        return find_dataset(name)
    except DatasetError:
        there = read_materialized(layout.dataset(name)) if Path(name).name == name else None
        if there is None or not Path(there.source).is_absolute():
            raise
    if not Path(there.source).exists():
        raise DatasetError(
            f"{name} was made of {there.source}, which is not there now: give the path that it has"
        )
    say(f"{name} was made of {there.source}")
    return find_dataset(there.source)


def prepare(layout: Layout, dataset: Dataset) -> MaterializedDataset:
    """The dataset on disk, made now if it is not there yet."""
    finish_interrupted_loads(layout, say)
    retry_while_locked(lambda: update(layout.store), layout.store, log=say)
    seconds = (
        f"; about {duration(dataset.approx_seconds)} where it is not there yet"
        if dataset.approx_seconds
        else ""
    )
    say(f"dataset {dataset.name}: {dataset.title}{seconds}")
    folder = layout.dataset(dataset.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    there = read_materialized(folder)
    _refuse_namesake(dataset, there)
    if there is not None and (there.sample or 0) > (dataset.sample or 0):
        dataset = dataset.sampled(
            there.sample, say
        )  # else what was embedded of the larger sample would go
    with counting(dataset.name, dataset.sample or dataset.approx_systems) as progress:
        made = materialize(dataset, folder, progress)
    if made.n_unreadable:
        say(
            f"  {made.n_systems} systems; {made.n_unreadable} entries cannot be read, see table failures"
        )
    for remark in made.remarks:
        say(f"  {remark}")
    return made


def _refuse_namesake(dataset: Dataset, there: MaterializedDataset | None) -> None:
    """Two files of one name in two folders are two datasets; the second must not take the place of the first."""
    if there is None or there.source == dataset.source or there.fingerprint == dataset.fingerprint:
        return
    if Path(there.source).is_absolute() and Path(there.source).exists():
        raise DatasetError(
            f"a dataset named {dataset.name!r} is there already, from {there.source}; rename {dataset.source}"
        )


def run_vectors(layout: Layout, options: argparse.Namespace) -> int:
    brought = ImportedVectors(options.model, Path(options.vectors), options.title, options.license)
    dataset = _dataset(layout, options.dataset)
    _refuse_how(options, dataset)
    made = prepare(layout, dataset.sampled(options.limit, say))
    landed = import_vectors(layout, brought, made, partial(agree_to_losses, options), say)
    if landed is None:
        say(f"{options.model} on {made.dataset}: these vectors are stored already; nothing to do")
        return 0
    _, counts = landed
    say(
        f"{options.model} on {made.dataset}: {counts.ok} of {made.n_systems} systems have a vector -> {layout.store}"
    )
    return 0


def agree_to_losses(options: argparse.Namespace, lost: dict[str, int]) -> None:
    """Ask whether systems may lose the vectors that the store holds of them. Raises RequestError if not."""
    where = ", ".join(f"{count} of {dataset}" for dataset, count in lost.items())
    confirm(
        [],
        f"{options.vectors} replaces the stored vectors of {options.model}, and {sum(lost.values())} systems would "
        f"lose their vector ({where}), as the file has none for them",
        options.yes,
        "Nothing was replaced",
    )


def foresee(options: argparse.Namespace) -> int:
    layout = Layout.find(options.store)
    selections = choose_models(options.model)
    runtime, why = choose_runtime(options.runtime, families_of(selections))
    dataset = _dataset(layout, options.dataset).sampled(options.limit, say)
    there = read_materialized(layout.dataset(dataset.name))
    here = (
        there is not None
        and there.fingerprint == dataset.fingerprint
        and there.covers(dataset.sample)
    )
    made = there if here else None
    say(f"runtime {runtime.name}: {why}")
    for line in forecast.of_dataset(dataset, made):
        say(line)
    work = []
    for selection in selections:
        names = choose_representations(selection, options.representation)
        limit = options.limit or dataset.sample
        request = None
        if made is not None:
            request = Request(
                selection, made, names, limit, options.device, options.dtype, options.batch
            )
        systems = forecast.systems_of(layout, dataset, request)
        for line in forecast.of_model(layout, runtime, dataset, request, selection, systems):
            say(line)
        work.append(Task(selection, names, systems or 0))
    for line in estimate(layout, runtime, [task for task in work if task.systems]).disk_lines():
        say(line)
    return 0


def env(options: argparse.Namespace) -> int:
    for family in find_families(options.family):
        if environment.ready(family):
            say(f"{family.name}: its environment is there and up to date")
        environment.build(family, say)
    return 0


def check_models(options: argparse.Namespace) -> int:
    failed = []
    for selection in choose_models(options.model):
        try:
            check_model(selection, say, dummy=options.dummy, device=options.device)
        except RunError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            failed.append(selection.model_id)
    if failed:
        print(f"error: {len(failed)} models failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def make_again(options: argparse.Namespace) -> int:
    layout = Layout.find(options.store)
    count = rebuild(layout, say)
    say(f"{layout.store} is made again from {count} runs")
    return 0


def du(options: argparse.Namespace) -> int:
    rows = usage(Layout.find(options.store))
    for kind, name, count in rows:
        say(f"{kind:<12} {megabytes(count):>14}  {name}")
    say(f"{'in all':<12} {megabytes(sum(row[2] for row in rows)):>14}")
    return 0


def clean(options: argparse.Namespace) -> int:
    if sum((options.model is not None, options.env is not None, options.cache)) != 1:
        raise RequestError(
            "say what to remove: clean MODEL [DATASET], clean --env FAMILY, or clean --cache"
        )
    if options.env is not None:
        removed = clean_environment(options.env)
    elif options.cache:
        removed = clean_cache(Layout.find(options.store))
    else:
        models, on = (
            _each_once(options.model, "model") or [],
            _each_once(options.dataset, "dataset"),
        )
        removed = clean_models(Layout.find(options.store), models, on, partial(agree, options))
    for what in removed:
        say(f"removed {what}")
    return 0


def _each_once(text: str | None, what: str) -> list[str] | None:
    """The names of a list; None where none is given. Raises RequestError for a list of nothing."""
    named = _named(text)
    if named == []:
        raise RequestError(f"no {what} is named in {text!r}; give names separated by commas")
    return named and list(dict.fromkeys(named))


def agree(options: argparse.Namespace, lines: Sequence[str], runs: int) -> None:
    """Ask whether all of this may go, if it is more than one run. Raises RequestError if not."""
    if runs > 1:
        on = f" on {options.dataset}" if options.dataset else ""
        confirm(lines, f"This would remove {runs} runs of {options.model}{on}", options.yes)


def datasets(options: argparse.Namespace) -> int:
    for line in listing.lines():
        say(line)
    return 0


def pin(options: argparse.Namespace) -> int:
    dataset = find_dataset(options.dataset)
    if not isinstance(dataset, DownloadedDataset):
        raise DatasetError(f"{dataset.name} needs no checksum: none of its files is downloaded")
    say(f"{dataset.loader.source.pin(say)} is written; commit it")
    return 0


def publish_models(options: argparse.Namespace) -> int:
    layout = Layout.find(options.store)
    update(layout.store)
    dataset = _dataset(layout, options.dataset).name
    names = _named(options.representation)

    def one(model_id: str) -> None:
        commit = publish_vectors(layout, model_id, dataset, options.repo, names, say)
        say(f"matterzoo fetch {model_id} {dataset} {options.repo} --revision {commit}")

    return _each(_named(options.model) or [], one)


def fetch_models(options: argparse.Namespace) -> int:
    layout = Layout.find(options.store)
    shelf = read_offer(options.repo, options.revision)
    say(f"{shelf.repo} at {shelf.commit}")
    dataset = _dataset(layout, options.dataset).sampled(options.limit, say)
    models = shelf.models(dataset.name) if options.model == "all" else _named(options.model) or []
    offers = {
        model_id: shelf.choose(model_id, dataset.name, _named(options.representation))
        for model_id in models
    }
    if not offers:
        raise ShareError(f"{shelf.repo} has no vectors over {dataset.name}")
    made = prepare(layout, dataset)
    return _each(offers, lambda model_id: fetch_vectors(layout, offers[model_id], made, say))


def _named(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _each(names: Collection[str], act: Callable[[str], None]) -> int:
    """Where several are asked for, one that is refused does not keep the rest from being done."""
    refused = 0
    for name in names:
        try:
            act(name)
        except ShareError as error:
            if len(names) == 1:
                raise
            refused += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
    return 2 if refused else 0


COMMANDS = {
    "run": run,
    "plan": foresee,
    "env": env,
    "check": check_models,
    "rebuild": make_again,
    "du": du,
    "clean": clean,
    "datasets": datasets,
    "pin": pin,
    "publish": publish_models,
    "fetch": fetch_models,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a run failed, 2 something asked for is wrong, 130 interrupted."""
    options = parse(arguments)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        listen()
        return COMMANDS[options.command](options)
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RUN_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `make du | head`
        sys.stderr.close()
        return 0 if options.command in ("du", "datasets", "plan") else 1
    except OSError as error:
        fault = _of_the_disk(error, Layout.find(vars(options).get("store")))
        if fault is None:
            raise
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, duckdb.InterruptException):
        print(
            "interrupted; what is done is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _of_the_disk(error: OSError, layout: Layout) -> str | None:
    """What to do where a disk is full, or nothing may be written to it; None for any other error."""
    if is_disk_full(error):
        return str(DiskFullError(error, layout.data))
    if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return None
    return (
        f"{error.filename or layout.data}: {error.strerror}. The store {layout.store} and the folder {layout.data} are "
        "written to: make them writable, or name a store elsewhere (MATTERZOO_STORE=…)"
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
