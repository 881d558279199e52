"""Neighbor lists that outlive a question: files beside the store.

A second matrix then costs only what is new. A file holds the lists of one model's vectors, under
one normalization and geometry, for the largest k that was asked for so far: lists for a smaller k
are their beginning. Its name is a hash of all that decides them, the vectors' own bytes included,
so a file is never out of date: what changed has another name. Files appear whole or not at all and
carry a checksum: one that is broken counts as absent and is written again. No question fails
because of them.

Layout: `MAGIC`, 32 bytes of checksum over the rest, `SHAPE`, then the arrays of `NeighborLists`:
value, slack (float64), begin, label (int64), index (int32).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import torch

from query.engine.compared_models import VectorsLike
from query.engine.neighbors.lists import NeighborLists
from query.reading.files import store_path
from schemas.paths import MEMORY, cache_folder
from zoo.files import remove_leftovers, write_atomically

# Raise it when query/engine/neighbors/, resolution.py or normalization.py find other lists.
VERSION = 2
MAGIC = b"mzlists2"
DIGEST = 32  # bytes
# k, entries, lists, n, `relative`, `products`.
SHAPE = struct.Struct("<qqqqd?7x")
ARRAYS = {
    "value": np.float64,
    "slack": np.float64,
    "begin": np.int64,
    "label": np.int64,
    "index": np.int32,
}
LEAST = 2048  # systems, below which lists are found sooner than read
# Bytes of all lists, about six matrices of 60 models on 50,000 systems; beyond it the oldest go.
LIMIT = 8 * 2**30

_complained: set[Path] = set()


class NeighborCache:
    """The lists kept in one folder; a `query.engine.neighbors.finder.NeighborListCache`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, connection: duckdb.DuckDBPyConnection) -> NeighborCache | None:
        """Return the cache of the store that a connection reads, or None for one in memory.

        Args:
            connection: A store.
        """
        path = store_path(connection)
        return None if path == MEMORY else cls(cache_folder(path))

    def find(
        self, table: VectorsLike, normalize: str, geometry: str, k: int
    ) -> NeighborLists | None:
        """Return the lists of these vectors if they are kept for k or more neighbors.

        Args:
            table: The vectors as they were given, (n, d).
            normalize: The normalization.
            geometry: 'inner' or 'euclidean'.
            k: The number of neighbors.
        """
        file = self._file(table, normalize, geometry)
        if file is None:
            return None
        try:
            found = _decode(file.read_bytes())
            if found is None or found.k < k:
                return None
            os.utime(file)  # used last
        except OSError:
            return None
        return found

    def keep(self, table: VectorsLike, normalize: str, geometry: str, lists: NeighborLists) -> None:
        """Keep lists for the next question, unless longer ones are here.

        Args:
            table: The vectors as they were given, (n, d).
            normalize: The normalization.
            geometry: 'inner' or 'euclidean'.
            lists: Their lists.
        """
        file = self._file(table, normalize, geometry)
        if file is None or self.find(table, normalize, geometry, lists.k) is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, _encode(lists), durable=False)
            self._trim()
        except OSError as error:
            self._complain(error)

    def _file(self, table: VectorsLike, normalize: str, geometry: str) -> Path | None:
        """Return where the lists of these vectors are; None if they are not worth a file."""
        x = table.cpu().numpy() if isinstance(table, torch.Tensor) else np.asarray(table)
        if len(x) < LEAST:
            return None
        what = f"{VERSION} {normalize} {geometry} {x.dtype.str} {x.shape}"
        name = hashlib.blake2b(what.encode(), digest_size=16)
        name.update(np.ascontiguousarray(x).data)
        return self.folder / f"{name.hexdigest()}.lists"

    def _trim(self) -> None:
        """Remove what was not asked for longest, and what killed processes left behind."""
        remove_leftovers(self.folder)
        total = 0
        for status, file in sorted(_files(self.folder), key=lambda entry: -entry[0].st_mtime):
            total += status.st_size
            if total > LIMIT:
                file.unlink(missing_ok=True)

    def _complain(self, error: OSError) -> None:
        """Say once per folder that nothing can be kept."""
        if self.folder not in _complained:
            _complained.add(self.folder)
            why = error.strerror or str(error)
            print(
                f"  neighbors are not kept for the next question: {self.folder}: {why}",
                file=sys.stderr,
            )


def _files(folder: Path) -> Iterator[tuple[os.stat_result, Path]]:
    for file in folder.iterdir():
        # Another process may have renamed or removed it.
        with contextlib.suppress(FileNotFoundError):
            yield file.stat(), file


def _encode(lists: NeighborLists) -> bytes:
    sizes = len(lists.index), len(lists.slack), len(lists.label)
    content = SHAPE.pack(lists.k, *sizes, lists.relative, lists.products)
    for name, kind in ARRAYS.items():
        content += np.ascontiguousarray(getattr(lists, name), kind).tobytes()
    return MAGIC + _checksum(content) + content


def _decode(data: bytes) -> NeighborLists | None:
    """Return the lists, or None if the file is not as it was written."""
    start = len(MAGIC) + DIGEST
    content = memoryview(data)[start:]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : start] != _checksum(content):
        return None
    k, entries, lists, n, relative, products = SHAPE.unpack_from(content)
    lengths = {"value": entries, "slack": lists, "begin": lists + 1, "label": n, "index": entries}
    found, at = {}, SHAPE.size
    for name, kind in ARRAYS.items():
        # Copies: compiled kernels are made for arrays that can be written.
        found[name] = np.frombuffer(content, kind, lengths[name], at).copy()
        at += found[name].nbytes
    return NeighborLists(k=k, relative=relative, products=products, **found)


def _checksum(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
