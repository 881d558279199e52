"""Remove models from the store and from the disk, environments, and the cache of neighbors."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import duckdb

from ingest.layout import Layout
from ingest.maintenance.confirm import confirm
from ingest.maintenance.disk import list_folders, size_on_disk
from ingest.runs.errors import RequestError
from ingest.runs.folder import Run, list_runs, lock_run
from ingest.runs.store.access import checkpoint, open_store, transaction
from ingest.runs.store.vector_tables import remove_empty
from ingest.runs.vectors.files import name_dataset, name_model
from ingest.runs.vectors.places import NOTE
from ingest.runtimes import environment
from schemas.store import connect, update
from schemas.views import write_views
from zoo.cards.discovery import load_families
from zoo.command_line import print_now, split_names
from zoo.errors import did_you_mean
from zoo.places import environments
from zoo.terminal import megabytes

Pair = tuple[str, str | None]  # a model and a dataset; None is every dataset
# $dataset may be NULL in all of them, which is every dataset.
ON_DATASET = "($dataset::VARCHAR IS NULL OR dataset = $dataset)"
ON_SYSTEMS = "($dataset::VARCHAR IS NULL OR starts_with(system_id, $dataset || '/'))"
OF_MODEL = {
    "embeddings": f"model_id = $model_id AND {ON_SYSTEMS}",
    "node_embeddings": f"model_id = $model_id AND {ON_SYSTEMS}",
    "failures": f"model_id = $model_id AND {ON_DATASET}",
    "runs": f"model_id = $model_id AND {ON_DATASET}",
    "labels": (f"source = $model_id AND source IN (SELECT model_id FROM models) AND {ON_SYSTEMS}"),
}
# A model goes with the last of its rows in these tables.
LAST_OF_MODEL = """
DELETE FROM {table} WHERE model_id = $1 AND $1 NOT IN (
    SELECT model_id FROM vector_files WHERE model_id = $1
    UNION ALL SELECT model_id FROM failures WHERE model_id = $1
    UNION ALL SELECT model_id FROM runs WHERE model_id = $1
)
"""


def clean_models(layout: Layout, models: str, datasets: str | None, *, yes: bool) -> list[str]:
    """Remove models as a user names them, and ask first if that is more than one run.

    Args:
        layout: The store and the files beside it.
        models: Ids of models separated by commas.
        datasets: Names of datasets separated by commas; None is every dataset.
        yes: Whether the user has agreed already.

    Returns:
        What was removed, as lines to report.

    Raises:
        RequestError: No model is named, there is nothing of one, or the user did not agree.
    """

    def agree(lines: list[str], runs: int) -> None:
        if runs > 1:
            on = f" on {datasets}" if datasets else ""
            confirm(lines, f"This would remove {runs} runs of {models}{on}", yes)

    on = None if datasets is None else _each_once(datasets, "dataset")
    return remove_models(layout, _each_once(models, "model"), on, agree)


def remove_models(
    layout: Layout,
    models: Sequence[str],
    datasets: Sequence[str] | None,
    agree: Callable[[list[str], int], None],
) -> list[str]:
    """Remove all that the store holds of some models, or of each on some datasets, and their runs.

    Args:
        layout: The store and the files beside it.
        models: Ids of models.
        datasets: Names of datasets; None is every dataset.
        agree: Is called with what is going to be removed and of how many runs. What it raises
            keeps all of it.

    Returns:
        What was removed, as lines to report.

    Raises:
        RunBusy: A process works on one of the runs.
        RequestError: There is nothing of one of the models.
    """
    update(layout.store)
    each: Sequence[str | None] = datasets or [None]
    pairs = [(model_id, dataset) for model_id in models for dataset in each]
    rows, runs, run_ids = _find(layout, pairs)
    with ExitStack() as held:
        for run in runs:
            held.enter_context(lock_run(run))
        folders = [run.folder for run in runs] + _vector_folders(layout, pairs)
        sizes = [f"{folder} ({megabytes(size_on_disk(folder))})" for folder in folders]
        lines = [f"{count} rows of {table}" for table, count in rows.items()] + sizes
        agree(lines, len(run_ids))
        for address in sorted({run.read(NOTE)["folder"] for run in runs if _is_remote(run)}):
            print_now(f"objects in {address} stay there: DuckDB removes none")
        if rows:
            with open_store(layout) as connection:
                _delete(connection, layout, pairs)
                checkpoint(connection, layout)
        for folder in folders:
            shutil.rmtree(folder)
    return lines


def _is_remote(run: Run) -> bool:
    """Return whether the vectors of a run are in an object store."""
    return (run.folder / NOTE).exists()


def clean_cache(layout: Layout) -> list[str]:
    """Remove the neighbor lists that queries kept.

    Args:
        layout: The store and the files beside it.

    Returns:
        What was removed, as lines to report.

    Raises:
        RequestError: There is no cache.
    """
    if not layout.cache.exists():
        raise RequestError(f"there is no cache beside {layout.store}")
    removed = f"{layout.cache} ({megabytes(size_on_disk(layout.cache))})"
    shutil.rmtree(layout.cache)
    return [removed]


def clean_environment(name: str) -> list[str]:
    """Remove a family's environment.

    Args:
        name: The family's name.

    Returns:
        What was removed, as lines to report.

    Raises:
        RequestError: There is no such environment.
    """
    there = {folder.name for folder in list_folders(environments())}
    if name not in there:
        hint = did_you_mean(name, there | set(load_families()))
        raise RequestError(f"no environment is named {name!r}; {hint}")
    path = environments() / name
    removed = f"{path} ({megabytes(size_on_disk(path))})"
    environment.remove(name)
    return [removed]


def _each_once(text: str, what: str) -> list[str]:
    """Return the names of a list, each once; raise RequestError for a list of nothing."""
    names = split_names(text)
    if not names:
        raise RequestError(f"no {what} is named in {text!r}; give names separated by commas")
    return names


def _find(layout: Layout, pairs: Sequence[Pair]) -> tuple[Counter[str], list[Run], set[str]]:
    """Find how many rows of which tables there are, the runs' folders, and the ids of all runs."""
    rows: Counter[str] = Counter()
    folders: list[Run] = []
    run_ids: set[str] = set()
    for model_id, dataset in pairs:
        runs = [
            run
            for run in list_runs(layout)
            if run.model_id == model_id and dataset in (None, run.dataset)
        ]
        its_rows, its_ids = _find_rows(layout, model_id, dataset)
        if not its_rows and not runs:
            raise RequestError(_describe_absence(layout, model_id, dataset))
        rows.update(its_rows)
        folders += runs
        run_ids |= its_ids | {run.run_id for run in runs}
    return rows, folders, run_ids


def _find_rows(
    layout: Layout, model_id: str, dataset: str | None
) -> tuple[dict[str, int], set[str]]:
    """Find how many rows of which tables the store has of a model, and the ids of its runs."""
    if not layout.store.exists():
        return {}, set()
    values = {"model_id": model_id, "dataset": dataset}
    found: dict[str, int] = {}
    with connect(layout.store, read_only=True) as connection:
        for table, which in OF_MODEL.items():
            query = f"SELECT count(*) FROM {table} WHERE {which}"
            ((count,),) = connection.execute(query, values).fetchall()
            found |= {table: count} if count else {}
        query = f"SELECT run_id FROM runs WHERE {OF_MODEL['runs']}"
        run_ids = connection.execute(query, values).fetchall()
    return found, {run_id for (run_id,) in run_ids}


def _delete(connection: duckdb.DuckDBPyConnection, layout: Layout, pairs: Sequence[Pair]) -> None:
    """Delete rows in one transaction; with the last of a model, its card and scores."""
    with transaction(connection):
        for model_id, dataset in pairs:
            values = {"model_id": model_id, "dataset": dataset}
            for table in ("labels", "failures", "runs"):
                connection.execute(f"DELETE FROM {table} WHERE {OF_MODEL[table]}", values)
            connection.execute(
                f"DELETE FROM vector_files WHERE model_id = $model_id AND {ON_DATASET}", values
            )
            for table in ("scores", "models"):
                connection.execute(LAST_OF_MODEL.format(table=table), [model_id])
        remove_empty(connection)
        write_views(connection, layout.store)


def _vector_folders(layout: Layout, pairs: Sequence[Pair]) -> list[Path]:
    """Return the folders of vector files of models on datasets."""
    roots = (layout.vectors, layout.nodes)
    everywhere = sorted(folder for root in roots for folder in root.glob("dataset=*"))
    found = [
        folder / name_model(model_id)
        for model_id, dataset in pairs
        for folder in (
            everywhere if dataset is None else [root / name_dataset(dataset) for root in roots]
        )
    ]
    return [folder for folder in found if folder.is_dir()]


def _describe_absence(layout: Layout, model_id: str, dataset: str | None) -> str:
    """Return what there is instead of a model, or of a model on a dataset."""
    known = {(run.model_id, run.dataset) for run in list_runs(layout)}
    if layout.store.exists():
        with connect(layout.store, read_only=True) as connection:
            known |= set(connection.execute("SELECT model_id, dataset FROM runs").fetchall())
    models = {name for name, _ in known}
    where = f"is in {layout.store} or beside it"
    if dataset is not None and model_id in models:
        there = did_you_mean(dataset, {on for name, on in known if name == model_id})
        return f"nothing of {model_id} on a dataset {dataset!r} {where}; {there}"
    hint = did_you_mean(model_id, models) if models else "there is no model at all"
    return f"nothing of a model {model_id!r} {where}; {hint}"
