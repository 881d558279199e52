"""Measure what takes how much disk: what `matterzoo du` shows."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from ingest.layout import Layout
from ingest.runs.folder import list_runs
from zoo.places import environments, image_files
from zoo.terminal import megabytes

BLOCK = 512  # bytes in which stat counts what a file takes on disk


@dataclass(frozen=True)
class Usage:
    """What one thing takes on disk.

    Attributes:
        kind: store, kept, dataset, vectors, submissions, matrix, cache,
            image (a file) or environment.
        name: Which one.
        size: Bytes.
    """

    kind: str
    name: str
    size: int


def measure_usage(layout: Layout) -> list[Usage]:
    """Measure the store, datasets, models, submissions, the cache, images and environments.

    Args:
        layout: The store and the files beside it.

    Returns:
        The largest of each kind first. What `rebuild` kept of stores that it replaced is one row,
        named by the command that removes it.
    """
    seen: set[int] = set()  # a job's systems are a hard link to the dataset's; they count once
    rows = []
    if layout.store.exists():
        rows.append(Usage("store", layout.store.name, size_on_disk(layout.store, seen)))
    if kept := _kept_stores(layout.store):
        remove = shlex.join(["rm", *map(str, kept)])
        name = f"what `matterzoo rebuild` kept; to remove: {remove}"
        rows.append(Usage("kept", name, sum(size_on_disk(file, seen) for file in kept)))
    rows += _measure_folders("dataset", layout.data / "datasets", seen)
    vectors: Counter[str] = Counter()
    for run in list_runs(layout):
        vectors[run.model_id] += size_on_disk(run.folder, seen)
    folders = [root.glob("dataset=*/model=*") for root in (layout.vectors, layout.nodes)]
    for folder in chain(*folders):
        vectors[unquote(folder.name.removeprefix("model="))] += size_on_disk(folder, seen)
    rows += _largest_first("vectors", vectors)
    if layout.submissions.exists():
        size = size_on_disk(layout.submissions, seen)
        rows.append(Usage("submissions", "to a cluster: scripts, logs and notes", size))
    matrices = Counter(
        {path.name: size_on_disk(path, seen) for path in list_folders(layout.strips)}
    )
    for matrix in layout.matrices.glob("[!.]*.parquet"):
        matrices[matrix.stem] += size_on_disk(matrix, seen)
    rows += _largest_first("matrix", matrices)
    if layout.cache.exists():
        rows.append(Usage("cache", "neighbors", size_on_disk(layout.cache, seen)))
    images = {path.name: size_on_disk(path, seen) for path in image_files().glob("[!.]*")}
    rows += _largest_first("image", images)
    return rows + _measure_folders("environment", environments(), seen)


def describe_usage(layout: Layout) -> Iterator[str]:
    """Describe what takes how much disk, and the sum.

    Args:
        layout: The store and the files beside it.

    Yields:
        One line per row of `measure_usage`, and one for the sum.
    """
    rows = measure_usage(layout)
    for row in rows:
        yield f"{row.kind:<12} {megabytes(row.size):>14}  {row.name}"
    yield f"{'in all':<12} {megabytes(sum(row.size for row in rows)):>14}"


def size_on_disk(path: Path, seen: set[int] | None = None) -> int:
    """Return the bytes that a file or folder takes on disk.

    Args:
        path: A file or a folder.
        seen: Inodes of files that count as 0, because they have been counted before; those of this
            path are added.
    """
    seen = set() if seen is None else seen
    # Not as Path: an environment has ten thousands of files, and to make each one takes longest.
    files = [f"{folder}/{name}" for folder, _, names in os.walk(path) for name in names]
    total = 0
    for status in map(os.lstat, files or [str(path)]):
        if status.st_ino not in seen:
            total += status.st_blocks * BLOCK
        seen.add(status.st_ino)
    return total


def list_folders(root: Path) -> list[Path]:
    """Return the folders in a folder by name, without hidden ones.

    Args:
        root: A folder, which need not exist.
    """
    return sorted(path for path in root.glob("[!.]*") if path.is_dir())


def _kept_stores(store: Path) -> list[Path]:
    """Return matter.duckdb.broken, .broken.2, .before, their WALs, and a WAL put aside alone."""
    name = re.compile(rf"{re.escape(store.name)}(\.wal)?\.(broken|before)(\.\d+)?(\.wal)?")
    return sorted(file for file in store.parent.iterdir() if name.fullmatch(file.name))


def _measure_folders(kind: str, root: Path, seen: set[int]) -> list[Usage]:
    sizes = {folder.name: size_on_disk(folder, seen) for folder in list_folders(root)}
    return _largest_first(kind, sizes)


def _largest_first(kind: str, sizes: Mapping[str, int]) -> list[Usage]:
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    return [Usage(kind, name, size) for name, size in ordered]
