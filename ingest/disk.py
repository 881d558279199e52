"""What takes how much disk, and how to have it back."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import duckdb

from ingest.layout import Layout
from ingest.load import opened, transaction
from ingest.plan import PlanError
from ingest.runtimes import environment
from zoo.card import load_families, nearest


def usage(layout: Layout) -> list[tuple[str, str, int]]:
    """(kind, name, bytes) of the store, each dataset, model and environment, the largest first, and of the cache."""
    seen: set[int] = set()  # a job's systems are a hard link to the dataset's; they count once
    rows = [("store", layout.store.name, size(layout.store, seen))] if layout.store.exists() else []
    rows += _sorted("dataset", {folder.name: size(folder, seen) for folder in _folders(layout.data / "datasets")})
    runs: Counter[str] = Counter()
    for run in layout.runs():
        runs[run.model_id] += size(run.folder, seen)
    rows += _sorted("shards", runs)
    if layout.cache.exists():
        rows.append(("cache", "neighbours", size(layout.cache, seen)))
    environments = {folder.name: size(folder, seen) for folder in _folders(environment.folder())}
    return rows + _sorted("environment", environments)


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


def clean_model(layout: Layout, model_id: str) -> list[str]:
    """Remove all that the store holds of a model, and its runs' folders. Returns what was removed."""
    runs = [run for run in layout.runs() if run.model_id == model_id]
    removed = []
    if layout.store.exists():
        with opened(layout) as connection:
            stored = {name for (name,) in connection.execute("SELECT model_id FROM models").fetchall()}
            if model_id in stored:
                removed = _forget(connection, model_id)
    else:
        stored = set()
    if not removed and not runs:
        known = stored | {run.model_id for run in layout.runs()}
        hint = nearest(model_id, known) if known else "there is no model at all"
        raise PlanError(f"nothing of a model {model_id!r} is in {layout.store} or beside it; {hint}")
    for run in runs:
        removed.append(f"{run.folder} ({megabytes(size(run.folder))})")
        shutil.rmtree(run.folder)
    return removed


def _forget(connection: duckdb.DuckDBPyConnection, model_id: str) -> list[str]:
    """Delete a model's rows from every table that has them, in one transaction."""
    removed = []
    with transaction(connection):
        for table in ("embeddings", "failures", "runs", "scores", "models"):
            ((rows,),) = connection.execute(f"DELETE FROM {table} WHERE model_id = ?", [model_id]).fetchall()
            removed.append(f"{rows} rows of {table}")
        ((rows,),) = connection.execute("DELETE FROM labels WHERE source = ?", [model_id]).fetchall()
        removed.append(f"{rows} rows of labels")
    connection.execute("CHECKPOINT")
    return removed


def clean_cache(layout: Layout) -> list[str]:
    """Remove the neighbour lists that questions kept. Returns what was removed."""
    if not layout.cache.exists():
        raise PlanError(f"there is no cache beside {layout.store}")
    removed = f"{layout.cache} ({megabytes(size(layout.cache))})"
    shutil.rmtree(layout.cache)
    return [removed]


def clean_environment(name: str) -> list[str]:
    """Remove a family's environment. Returns what was removed."""
    there = {folder.name for folder in _folders(environment.folder())}
    if name not in there:
        raise PlanError(f"no environment is named {name!r}; {nearest(name, there | set(load_families()))}")
    path = environment.folder() / name
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
