"""What takes how much disk, and how to have it back."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import duckdb

from ingest.layout import Layout
from ingest.runs.errors import RequestError
from ingest.runs.folder import Run, list_runs, lock_run
from ingest.runs.store.access import checkpoint, open_store, transaction
from ingest.runtimes import environment
from schemas.store import connect, update
from zoo.cards.discovery import load_families
from zoo.errors import did_you_mean
from zoo.places import environments


def usage(layout: Layout) -> list[tuple[str, str, int]]:
    """(kind, name, bytes) of the store, each dataset, model and environment, the largest first, and of the cache.

    What `make rebuild` kept of stores that it replaced is one row, which says how to remove it.
    """
    seen: set[int] = set()  # a job's systems are a hard link to the dataset's; they count once
    rows = [("store", layout.store.name, size(layout.store, seen))] if layout.store.exists() else []
    if kept := _kept(layout.store):
        remove = f"what `make rebuild` kept; to remove: {shlex.join(['rm', *map(str, kept)])}"
        rows.append(("kept", remove, sum(size(file, seen) for file in kept)))
    rows += _sorted(
        "dataset",
        {folder.name: size(folder, seen) for folder in _folders(layout.data / "datasets")},
    )
    runs: Counter[str] = Counter()
    for run in list_runs(layout):
        runs[run.model_id] += size(run.folder, seen)
    rows += _sorted("shards", runs)
    if layout.cache.exists():
        rows.append(("cache", "neighbors", size(layout.cache, seen)))
    built = {folder.name: size(folder, seen) for folder in _folders(environments())}
    return rows + _sorted("environment", built)


def _kept(store: Path) -> list[Path]:
    """matter.duckdb.broken, .broken.2, .before, their WALs, and a WAL that was put aside alone."""
    name = re.compile(rf"{re.escape(store.name)}(\.wal)?\.(broken|before)(\.\d+)?(\.wal)?")
    return sorted(file for file in store.parent.iterdir() if name.fullmatch(file.name))


def size(path: Path, seen: set[int] | None = None) -> int:
    """Bytes on disk of a file or folder, without the files whose inodes have been seen before."""
    seen = set() if seen is None else seen
    files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names] or [path]
    total = 0
    for status in (file.lstat() for file in files):
        if status.st_ino not in seen:
            total += status.st_blocks * 512
        seen.add(status.st_ino)
    return total


def clean_models(
    layout: Layout,
    models: Sequence[str],
    datasets: Sequence[str] | None,
    agree: Callable[[list[str], int], None],
) -> list[str]:
    """Remove all that the store holds of these models, or of each on these datasets, and their runs' folders.

    datasets: None is every one. agree: is given what is going to be removed and of how many runs; what it raises keeps
    all of it. Raises RunBusy for a run in progress, and RequestError where there is nothing of one of the models. Returns
    what was removed.
    """
    update(layout.store)
    each: Sequence[str | None] = datasets or [None]
    pairs = [(model_id, dataset) for model_id in models for dataset in each]
    rows, runs, run_ids = _found(layout, pairs)
    with ExitStack() as held:
        for run in runs:
            held.enter_context(lock_run(run))
        folders = [f"{run.folder} ({megabytes(size(run.folder))})" for run in runs]
        lines = [f"{count} rows of {table}" for table, count in rows.items()] + folders
        agree(lines, len(run_ids))
        if rows:
            with open_store(layout) as connection:
                _forget(connection, pairs)
                checkpoint(connection, layout)
        for run in runs:
            shutil.rmtree(run.folder)
    return lines


def _found(
    layout: Layout, pairs: Sequence[tuple[str, str | None]]
) -> tuple[Counter[str], list[Run], set[str]]:
    """How many rows of which tables are of these models and datasets, the runs' folders, and the ids of all runs."""
    rows: Counter[str] = Counter()
    folders: list[Run] = []
    run_ids: set[str] = set()
    for model_id, dataset in pairs:
        runs = [run for run in list_runs(layout) if _is_of(run, model_id, dataset)]
        its_rows, its_ids = _rows_of(layout, model_id, dataset)
        if not its_rows and not runs:
            raise RequestError(_nothing_of(layout, model_id, dataset))
        rows.update(its_rows)
        folders += runs
        run_ids |= its_ids | {run.run_id for run in runs}
    return rows, folders, run_ids


# In all of them $dataset may be NULL: of every dataset.
ON_DATASET = "($dataset::VARCHAR IS NULL OR dataset = $dataset)"
ON_SYSTEMS = "($dataset::VARCHAR IS NULL OR starts_with(system_id, $dataset || '/'))"
OF_MODEL = {
    "embeddings": f"model_id = $model_id AND {ON_SYSTEMS}",
    "failures": f"model_id = $model_id AND {ON_DATASET}",
    "runs": f"model_id = $model_id AND {ON_DATASET}",
    "labels": f"source = $model_id AND source IN (SELECT model_id FROM models) AND {ON_SYSTEMS}",
}


def _rows_of(layout: Layout, model_id: str, dataset: str | None) -> tuple[dict[str, int], set[str]]:
    """How many rows of which tables are of the model, and the ids of its runs."""
    if not layout.store.exists():
        return {}, set()
    values = {"model_id": model_id, "dataset": dataset}
    found: dict[str, int] = {}
    with connect(layout.store, read_only=True) as connection:
        for table, which in OF_MODEL.items():
            ((count,),) = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {which}", values
            ).fetchall()
            found |= {table: count} if count else {}
        run_ids = connection.execute(
            f"SELECT run_id FROM runs WHERE {OF_MODEL['runs']}", values
        ).fetchall()
    return found, {run_id for (run_id,) in run_ids}


def _forget(connection: duckdb.DuckDBPyConnection, pairs: Sequence[tuple[str, str | None]]) -> None:
    """Delete the rows of these in one transaction; with the last of a model, its card and scores."""
    left = " UNION ALL ".join(
        f"SELECT model_id FROM {table}" for table in ("embeddings", "failures", "runs")
    )
    with transaction(connection):
        for model_id, dataset in pairs:
            for table in ("labels", "embeddings", "failures", "runs"):
                values = {"model_id": model_id, "dataset": dataset}
                connection.execute(f"DELETE FROM {table} WHERE {OF_MODEL[table]}", values)
            for table in ("scores", "models"):
                gone = f"model_id = $1 AND $1 NOT IN (FROM ({left}) WHERE model_id = $1)"
                connection.execute(f"DELETE FROM {table} WHERE {gone}", [model_id])


def _is_of(run: Run, model_id: str, dataset: str | None) -> bool:
    return run.model_id == model_id and dataset in (None, run.dataset)


def _nothing_of(layout: Layout, model_id: str, dataset: str | None) -> str:
    """Say what there is instead of a model, or of a model on a dataset."""
    known = {(run.model_id, run.dataset) for run in list_runs(layout)}
    if layout.store.exists():
        with connect(layout.store, read_only=True) as connection:
            known |= set(connection.execute("SELECT model_id, dataset FROM runs").fetchall())
    models = {name for name, _ in known}
    if dataset is not None and model_id in models:
        there = did_you_mean(dataset, {on for name, on in known if name == model_id})
        return f"nothing of {model_id} on a dataset {dataset!r} is in {layout.store} or beside it; {there}"
    hint = did_you_mean(model_id, models) if models else "there is no model at all"
    return f"nothing of a model {model_id!r} is in {layout.store} or beside it; {hint}"


def clean_cache(layout: Layout) -> list[str]:
    """Remove the neighbor lists that questions kept. Returns what was removed."""
    if not layout.cache.exists():
        raise RequestError(f"there is no cache beside {layout.store}")
    removed = f"{layout.cache} ({megabytes(size(layout.cache))})"
    shutil.rmtree(layout.cache)
    return [removed]


def clean_environment(name: str) -> list[str]:
    """Remove a family's environment. Returns what was removed."""
    there = {folder.name for folder in _folders(environments())}
    if name not in there:
        raise RequestError(
            f"no environment is named {name!r}; {did_you_mean(name, there | set(load_families()))}"
        )
    path = environments() / name
    removed = f"{path} ({megabytes(size(path))})"
    environment.remove(name)
    return [removed]


def megabytes(number: float) -> str:
    """'12.3 MB' of a number of bytes."""
    return f"{number / 1e6:,.1f} MB"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("[!.]*") if path.is_dir())


def _sorted(kind: str, sizes: Mapping[str, int]) -> list[tuple[str, str, int]]:
    return [(kind, name, count) for name, count in sorted(sizes.items(), key=lambda item: -item[1])]
