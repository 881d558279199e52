"""Write vector files: Parquet files that hold the vectors of a run, as the store reads them.

A vector file has the columns of `zoo.worker.tables.VECTORS`. It holds one representation, sorted by
system_id, and takes at most FILE_BYTES on disk. A file of nodes has those of `NODE_VECTORS`, and is
sorted by system_id and node. Whoever has vectors for a store writes them here:
the worker at the end of a run, and the host for vectors that are imported or fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo.files import write_atomically
from zoo.worker.errors import WorkerError
from zoo.worker.pooling import NODES, split_name
from zoo.worker.sealed import stamp
from zoo.worker.tables import NODE_OPTIONS, NODE_VECTORS, VECTORS, VECTORS_OPTIONS

FILE_BYTES = 256_000_000  # of a file at most: large enough to read at full speed, small to transfer
ROW_GROUP_BYTES = 4_000_000  # of the vectors of a row group: several threads share a file
ROW_GROUP_ROWS = 16_384  # of a row group at most, where vectors are short
ID_BYTES = 120  # of a row beside its vector at most: a content hash and a long id


class VectorRows(NamedTuple):
    """Some rows of one representation, in the order of system_id.

    Attributes:
        system_ids: Strings, (n,).
        content_hashes: Strings, (n,).
        vectors: float32, (n, d).
        nodes: int32, (n,): which node of its system each row is of. None: rows are of systems.
    """

    system_ids: pa.Array
    content_hashes: pa.Array
    vectors: np.ndarray
    nodes: np.ndarray | None = None

    def cut(self, start: int, stop: int) -> VectorRows:
        """Return the rows from start to stop - 1, without a copy.

        Args:
            start: The first row.
            stop: One past the last row; it may lie behind the end.
        """
        nodes = None if self.nodes is None else self.nodes[start:stop]
        ids, hashes = self.system_ids[start:stop], self.content_hashes[start:stop]
        return VectorRows(ids, hashes, self.vectors[start:stop], nodes)


@dataclass
class VectorFiles:
    """Writes the vector files of one run: `vectors-00000.parquet`, `vectors-00001.parquet`, ….

    Files of nodes are called `nodes-…`, and are counted with the others.

    Attributes:
        folder: The folder of the files, which exists.
        run_id: The run.
        model_id: Its model.
        card_hash: The hash of the model's card.
        entries: What run.json is to say under 'vectors': file, representation, rows, bytes and
            sha256 of each file; of one of nodes also systems, the number of those that begin in it.
    """

    folder: Path
    run_id: str
    model_id: str
    card_hash: str
    entries: list[dict[str, Any]] = field(default_factory=list)

    def write(self, representation: str, rows: Iterable[VectorRows], count: int) -> None:
        """Write all vectors of one representation, each file whole or not at all.

        Args:
            representation: Its name.
            rows: All its rows, in parts of any size; together they ascend in system_id, and in
                node from 0 within a system if the representation is one of nodes.
            count: How many rows there are in all. The files get equal shares of them.

        Raises:
            WorkerError: The rows cannot be a vector file, or are not as many as `count`.
            OSError: The disk is full, or refuses.
        """
        groups = _to_row_groups(self._checked(rows, representation))
        written = 0
        for first in groups:
            more = islice(groups, groups_per_file(count, first.vectors.shape[1]) - 1)
            written += self._write_file(representation, chain([first], more))
        if written != count:
            raise WorkerError(
                f"{self.run_id} has {written} vectors of {representation!r}, expected {count}"
            )

    def _write_file(self, representation: str, groups: Iterable[VectorRows]) -> int:
        """Write one file of these row groups; return how many rows it has."""
        base, pooling = split_name(representation)
        kind, columns, named, options = "vectors", VECTORS, representation, VECTORS_OPTIONS
        if pooling == NODES:  # the column names what is in the card: all rows here are of nodes
            kind, columns, named, options = NODES, NODE_VECTORS, base, NODE_OPTIONS
        path = self.folder / f"{kind}-{len(self.entries):05d}.parquet"
        about = {"run_id": self.run_id, "model_id": self.model_id, "representation": named}
        schema = columns.with_metadata(about | {"card_hash": self.card_hash})
        rows = systems = 0

        def write(temporary: Path) -> None:
            nonlocal rows, systems
            with pq.ParquetWriter(temporary, schema, **options) as writer:
                for group in groups:
                    table = pa.table(_columns(group, about), schema=schema)
                    writer.write_table(table, row_group_size=len(table))
                    rows += len(table)
                    if group.nodes is not None:
                        systems += int(np.count_nonzero(group.nodes == 0))

        write_atomically(path, write)
        found = stamp(path)
        self.entries.append(
            {
                "file": path.name,
                "representation": representation,
                "rows": rows,
                "bytes": found["size"],
                "sha256": found["sha256"],
            }
            | ({"systems": systems} if pooling == NODES else {})
        )
        return rows

    def _checked(self, rows: Iterable[VectorRows], representation: str) -> Iterator[VectorRows]:
        """Yield the parts that have rows; refuse what no reader of the files could use."""
        last, dimension = None, None
        for part in rows:
            if not len(part.vectors):
                continue
            fault = _find_disorder(last, part)
            if fault is not None:
                raise WorkerError(
                    f"{self.run_id} has {fault} in {representation!r}; expected each system once, "
                    "in the order of system_id" + ("" if part.nodes is None else " and node")
                )
            if dimension not in (None, part.vectors.shape[1]):
                raise WorkerError(
                    f"{self.run_id} has vectors of {dimension} and of {part.vectors.shape[1]} "
                    f"numbers in {representation!r}; expected one length"
                )
            count, dimension = part.vectors.shape
            last = part.cut(count - 1, count)
            yield part


def _find_disorder(last: VectorRows | None, part: VectorRows) -> str | None:
    """Return which row of a part is out of order, also after the row before it; None if none."""
    parts = [part] if last is None else [last, part]
    keys = _join([each._replace(vectors=each.vectors[:, :0]) for each in parts])
    ids, nodes = keys.system_ids, keys.nodes
    right = pc.greater(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    if nodes is not None:
        if last is None and nodes[0] != 0:
            return f"node {nodes[0]} of {ids[0]} first"
        same = pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        right = np.where(same, nodes[1:] == nodes[:-1] + 1, right & (nodes[1:] == 0))
    if right.all():
        return None
    before, after = (
        str(ids[row]) if nodes is None else f"node {nodes[row]} of {ids[row]}"
        for row in (np.argmin(right), np.argmin(right) + 1)
    )
    return f"{after} after {before}"


def rows_per_group(dimension: int) -> int:
    """Return how many rows a row group of a vector file has.

    Args:
        dimension: The length of the vectors.
    """
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // (4 * dimension)))


def groups_per_file(count: int, dimension: int) -> int:
    """Return how many row groups each file of a representation has; the last may have fewer.

    The files are of like size, so that no small one is left at the end.

    Args:
        count: The number of vectors.
        dimension: Their length.
    """
    files = -(-count // rows_per_file(dimension))
    return -(-count // (files * rows_per_group(dimension)))


def rows_per_file(dimension: int) -> int:
    """Return how many rows a vector file has at most: those whose bytes fit without compression.

    Args:
        dimension: The length of the vectors.
    """
    size = rows_per_group(dimension)
    return max(1, FILE_BYTES // (4 * dimension + ID_BYTES) // size) * size


def _to_row_groups(parts: Iterable[VectorRows]) -> Iterator[VectorRows]:
    """Yield the same rows, in parts as large as row groups are; the last may be smaller."""
    held: list[VectorRows] = []
    for part in parts:
        size = rows_per_group(part.vectors.shape[1])
        start = 0
        while start < len(part.vectors):
            free = size - sum(len(piece.vectors) for piece in held)
            held.append(part.cut(start, start + free))
            start += free
            if sum(len(piece.vectors) for piece in held) == size:
                yield _join(held)
                held = []
    if held:
        yield _join(held)


def _join(parts: list[VectorRows]) -> VectorRows:
    if len(parts) == 1:
        return parts[0]
    ids, hashes, vectors, nodes = zip(*parts, strict=True)
    joined = pa.concat_arrays(ids), pa.concat_arrays(hashes), np.concatenate(vectors)
    return VectorRows(*joined, None if nodes[0] is None else np.concatenate(nodes))


def _columns(rows: VectorRows, about: Mapping[str, str]) -> dict[str, pa.Array]:
    """Return the columns of a vector file."""
    count, dimension = rows.vectors.shape
    # Adding zero makes 0.0 of -0.0, so that equal vectors have equal bytes.
    values = np.ravel(rows.vectors + np.float32(0))
    # The sum (in double precision) of finite float32 numbers is finite.
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise WorkerError(f"{about['run_id']} has a vector that is not finite")
    ends = pa.array(np.arange(0, (count + 1) * dimension, dimension, dtype=np.int32))
    kind = VECTORS.field("vector").type
    same = {name: pa.repeat(pa.scalar(value), count) for name, value in about.items()}
    if rows.nodes is not None:
        same["node"] = pa.array(rows.nodes, pa.int32())
    return {
        "system_id": rows.system_ids,
        "content_hash": rows.content_hashes,
        "vector": pa.ListArray.from_arrays(ends, pa.array(values), type=kind),
        **same,
    }
