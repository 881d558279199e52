"""Have the dataset of a request on disk, up to date, before anything is computed over it."""

from __future__ import annotations

from pathlib import Path

from ingest.layout import Layout
from ingest.readers.folders import expand_home, source_exists
from ingest.runs.load import finish_interrupted_loads
from ingest.runs.reporting import count_entries
from ingest.runs.store.waiting import retry_while_locked
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.store import update
from zoo.command_line import print_now, split_names
from zoo.terminal import duration


def split_datasets(text: str) -> list[str]:
    """Return the datasets that a user means.

    Args:
        text: Names separated by commas, or a path or glob, which may have commas.
    """
    return [text] if source_exists(expand_home(text)) else split_names(text) or [text]


def resolve_datasets(
    layout: Layout, names: str, called: str | None = None, *, numbered: bool = False
) -> list[Dataset]:
    """Return the datasets that a user means.

    Args:
        layout: The store and the files beside it.
        names: See `split_datasets`.
        called: What a user's files are to be called, if they are one dataset.
        numbered: Whether rows of tables that have no ids are numbered from 0.

    Raises:
        DatasetError: There is no such dataset, or a name is given to several.
    """
    words = split_datasets(names)
    if called is not None and len(words) > 1:
        raise DatasetError(f"--name {called} is of one dataset, not of {len(words)}: {names}")
    return [resolve_dataset(layout, word, called, numbered=numbered) for word in words]


def resolve_dataset(
    layout: Layout, name: str, called: str | None = None, *, numbered: bool = False
) -> Dataset:
    """Return a dataset by its name or files, or by the name that a user's files got earlier.

    Args:
        layout: The store and the files beside it.
        name: The name of a dataset, a path or glob, or the name of a dataset that was made of one.
        called: What a user's files are to be called; None takes the name of the file or folder.
        numbered: Whether rows of tables that have no ids are numbered from 0.

    Raises:
        DatasetError: There is no such dataset, or its files are gone.
    """
    try:
        return find_dataset(name, called, numbered=numbered)
    except DatasetError:
        there = read_materialized(layout.dataset(name)) if Path(name).name == name else None
        if there is None or not Path(there.source).is_absolute():
            raise
    if called not in (None, name):
        raise DatasetError(
            f"{name} was made of {there.source}: give that path with --name {called}"
        )
    if not source_exists(there.source):
        raise DatasetError(
            f"{name} was made of {there.source}, which is not there now: give the path that it has"
        )
    print_now(f"{name} was made of {there.source}")
    return find_dataset(there.source, name, numbered=numbered or there.numbered)


def find_made(layout: Layout, dataset: Dataset) -> MaterializedDataset | None:
    """Return a dataset that lies on disk, if it is there, up to date, and large enough.

    Args:
        layout: The store and the files beside it.
        dataset: The dataset, sampled as asked for.
    """
    there = read_materialized(layout.dataset(dataset.name))
    if there is None or there.fingerprint != dataset.fingerprint:
        return None
    return there if there.covers(dataset.sample) else None


def prepare_dataset(
    layout: Layout, dataset: Dataset, *, may_load: bool = True
) -> MaterializedDataset:
    """Return a dataset that lies on disk, made now if it is missing or out of date.

    Loads that were cut off are finished first, and the store's tables are brought up to date.

    Args:
        layout: The store and the files beside it.
        dataset: The dataset, sampled as asked for.
        may_load: Whether this process loads runs; where a cluster's job does, it alone writes.

    Raises:
        DatasetError: The dataset cannot be read, or another one has its name.
        StoreError: The store cannot be opened.
    """
    if may_load:
        finish_interrupted_loads(layout, print_now)
    retry_while_locked(lambda: update(layout.store), layout.store, log=print_now)
    print_now(_describe(dataset))
    folder = layout.dataset(dataset.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    there = read_materialized(folder)
    _refuse_namesake(dataset, there, folder)
    if there is not None and _has_more(there, dataset):
        # A smaller sample in its place would take away vectors of the larger one.
        dataset = dataset.sampled(there.sample, print_now)
    with count_entries(dataset.name, dataset.sample or dataset.approx_systems) as progress:
        made = materialize(dataset, folder, progress)
    if made.n_unreadable:
        print_now(
            f"  {made.n_systems} systems; entries that cannot be read: {made.n_unreadable}, "
            "see table failures"
        )
    for remark in made.remarks:
        print_now(f"  {remark}")
    return made


def _has_more(there: MaterializedDataset, dataset: Dataset) -> bool:
    """Return whether what is there is a larger part of the source than what is asked for."""
    if dataset.sample is None:
        return False
    return there.sample is None or there.sample > dataset.sample


def _describe(dataset: Dataset) -> str:
    seconds = dataset.approx_seconds
    time = f"; about {duration(seconds)} if it is not there yet" if seconds else ""
    return f"dataset {dataset.name}: {dataset.title}{time}"


def _refuse_namesake(dataset: Dataset, there: MaterializedDataset | None, folder: Path) -> None:
    """Refuse a dataset of the same name: it must not take the place of the first."""
    if there is None or there.source == dataset.source or not Path(there.source).is_absolute():
        return
    if not Path(dataset.source).is_absolute():
        raise DatasetError(
            f"the store has your own dataset of the name {dataset.name!r}, from {there.source}, "
            "which the one that matterzoo brings would replace: use another --store, or first "
            f"`matterzoo clean` what models have on it and remove {folder}"
        )
    if there.fingerprint != dataset.fingerprint and source_exists(there.source):
        raise DatasetError(
            f"a dataset named {dataset.name!r} is there already, from {there.source}; "
            f"rename {dataset.source}, or give it another --name"
        )
