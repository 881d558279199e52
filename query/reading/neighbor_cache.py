"""Neighbor lists that outlive a question: files beside the store, so that a second matrix costs only what is new.

A file holds the lists of one model's vectors, under one normalization and geometry, for the largest k that was asked
for so far: lists for a smaller k are their beginning. Its name is a hash of all that decides them, the vectors' own
bytes included, so a file is never out of date: what changed has another name. Files appear by rename, whole or not at
all, and carry a checksum: one that is broken counts as absent, and is written again. Nothing here fails a question.

Layout: `MAGIC`, 32 bytes of checksum over the rest, `SHAPE`, then the arrays of `lists.NeighborLists`: value, slack (float64),
begin, label (int64), index (int32).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import torch

from query.engine.models import VectorsLike
from query.engine.neighbors.lists import NeighborLists
from schemas.paths import cache_folder

# Raise it where query/engine/neighbors/search.py, lists.py, resolution.py or normalize.py come to other lists.
VERSION = 2
MAGIC = b"mzlists2"
DIGEST = 32  # bytes
SHAPE = struct.Struct("<qqqqd?7x")  # k, entries, lists, n, `relative`, `products`
ARRAYS = {
    "value": np.float64,
    "slack": np.float64,
    "begin": np.int64,
    "label": np.int64,
    "index": np.int32,
}
LEAST = 2048  # systems: lists of fewer are found sooner than read
LIMIT = (
    8 * 2**30
)  # bytes of all lists, about six matrices of 60 models on 50,000 systems; then the oldest go
ABANDONED = 3600.0  # s after which a file that was never finished belongs to nobody

_complained: set[Path] = set()


class Cache:
    """The lists kept in one folder; see `comparison.Cache`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, connection: duckdb.DuckDBPyConnection) -> Cache | None:
        """The store's own; None for a store in memory."""
        sql = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
        (path,) = connection.execute(sql).fetchall()[0]
        return None if path is None else cls(cache_folder(path))

    def find(
        self, table: VectorsLike, normalize: str, geometry: str, k: int
    ) -> NeighborLists | None:
        """The lists of these vectors, (n, d), if they are here with at least k neighbors each."""
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
        """Keep lists for the next question, unless longer ones are here."""
        file = self._file(table, normalize, geometry)
        if file is None or self.find(table, normalize, geometry, lists.k) is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(file, _encode(lists))
            self._trim()
        except OSError as error:
            self._complain(error)

    def _file(self, table: VectorsLike, normalize: str, geometry: str) -> Path | None:
        """Where the lists of these vectors are; None where it is not worth it."""
        x = table.cpu().numpy() if isinstance(table, torch.Tensor) else np.asarray(table)
        if len(x) < LEAST:
            return None
        what = f"{VERSION} {normalize} {geometry} {x.dtype.str} {x.shape}"
        name = hashlib.blake2b(what.encode(), digest_size=16)
        name.update(np.ascontiguousarray(x).data)
        return self.folder / f"{name.hexdigest()}.lists"

    def _trim(self) -> None:
        """Remove what was not asked for longest, and what killed processes left behind."""
        total = 0
        for status, file in sorted(_files(self.folder), key=lambda entry: -entry[0].st_mtime):
            total += status.st_size
            left_behind = file.suffix == ".partial" and time.time() - status.st_mtime > ABANDONED
            if total > LIMIT or left_behind:
                file.unlink(missing_ok=True)

    def _complain(self, error: OSError) -> None:
        """Say once a folder that nothing can be kept."""
        if self.folder not in _complained:
            _complained.add(self.folder)
            why = error.strerror or str(error)
            print(
                f"  neighbors are not kept for the next question: {self.folder}: {why}",
                file=sys.stderr,
            )


def _files(folder: Path) -> Iterator[tuple[os.stat_result, Path]]:
    for file in folder.iterdir():
        with contextlib.suppress(
            FileNotFoundError
        ):  # another process may have renamed or removed it
            yield file.stat(), file


def _encode(lists: NeighborLists) -> bytes:
    sizes = len(lists.index), len(lists.slack), len(lists.label)
    content = SHAPE.pack(lists.k, *sizes, lists.relative, lists.products)
    for name, kind in ARRAYS.items():
        content += np.ascontiguousarray(getattr(lists, name), kind).tobytes()
    return MAGIC + _checksum(content) + content


def _decode(data: bytes) -> NeighborLists | None:
    """The lists; None where the file is not as it was written."""
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


def _replace(file: Path, data: bytes) -> None:
    """Write a file under a name of its own and rename it."""
    partial = file.with_name(f".{file.stem}-{secrets.token_hex(8)}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
