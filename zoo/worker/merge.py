"""Merge the shards of a run into vector files and one file of outcomes.

Shards come in the order in which systems were embedded, vector files are in the order of system_id.
No more than one file's vectors are in memory at a time: the ids of a representation are sorted
first, and then each file is filled by reading the shards that have rows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zoo.files import write_atomically
from zoo.worker.errors import DamagedFileError
from zoo.worker.pooling import NODES, split_name
from zoo.worker.tables import OUTCOMES, OUTCOMES_OPTIONS
from zoo.worker.vector_files import VectorFiles, VectorRows, rows_per_file

OUTCOMES_FILE = "outcomes.parquet"  # beside the vector files
OUTCOMES_AT_ONCE = 1 << 20  # rows without a vector that are in memory at a time, at most


def merge_shards(
    shards: Sequence[Path],
    files: VectorFiles,
    dimensions: Mapping[str, int],
    check: Callable[[], object] = lambda: None,
) -> Path:
    """Write the vector files and the outcomes of a run. The shards stay as they are.

    Vector files in the folder are what a merge that was killed has left, and are removed first. Of
    a representation of nodes, a shard has the vectors of a system one after another in its one row.

    Args:
        shards: All shards of the run.
        files: Writes the vector files, and gets their entries.
        dimensions: {representation: the length of its vectors} of all that the run was asked for.
        check: Called again and again; what it raises ends the merge.

    Returns:
        The file of outcomes: a row of `zoo.worker.tables.OUTCOMES` per system and representation,
        by representation in the order of `dimensions`, then by system_id.

    Raises:
        DamagedFileError: A shard cannot be read, or holds what no vector file may hold.
        OSError: The disk is full, or refuses.
    """

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, OUTCOMES, **OUTCOMES_OPTIONS) as outcomes:
            for representation, dimension in dimensions.items():
                rows = _Rows.find(shards, representation, dimension)
                parts = rows.in_order(outcomes, check)
                files.write(representation, parts, rows.vector_count)

    for kind in ("vectors", NODES):
        for left_over in sorted(files.folder.glob(f"{kind}-*.parquet")):
            left_over.unlink()
    path = files.folder / OUTCOMES_FILE
    write_atomically(path, write)
    return path


class _Piece(NamedTuple):
    """Rows of one representation in one row group of a shard: their numbers in the row group."""

    shard: Path
    group: int
    rows: np.ndarray


@dataclass
class _Rows:
    """All rows of one representation, found in the shards.

    Attributes:
        dimension: The length of the vectors.
        pieces: Where the rows are.
        of_nodes: Whether a row may have several vectors, one per node.
        places: For each row, in the order of the pieces, its place in the order of system_id.
        counts: For each place, how many vectors that row has.
    """

    dimension: int
    pieces: Sequence[_Piece]
    of_nodes: bool
    places: np.ndarray
    counts: np.ndarray

    @classmethod
    def find(cls, shards: Sequence[Path], representation: str, dimension: int) -> _Rows:
        """Read which rows the shards have, and how many vectors each has."""
        pieces: list[_Piece] = []
        ids: list[pa.Array] = []
        counts: list[np.ndarray] = []
        of_nodes = split_name(representation)[1] == NODES
        names = ["representation", "system_id", "status", *(["vector"] if of_nodes else [])]
        for shard in shards:
            with _open(shard) as file:
                for group in _groups_with(file, representation):
                    table = _read(file, shard, group, names)
                    of_this = pc.equal(table["representation"], representation)
                    rows = np.flatnonzero(of_this.to_numpy())
                    if rows.size:
                        table = table.take(rows)
                        pieces.append(_Piece(shard, group, rows))
                        ids.extend(table["system_id"].chunks)
                        counts.append(_count_vectors(table, dimension if of_nodes else None))
        order = np.asarray(pc.sort_indices(pa.chunked_array(ids, pa.string())))
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(len(order))
        in_order = np.concatenate(counts)[order] if pieces else np.empty(0, dtype=np.int64)
        return cls(dimension, pieces, of_nodes, places, in_order)

    @property
    def vector_count(self) -> int:
        """How many vectors all rows have together."""
        return int(self.counts.sum())

    def in_order(
        self, outcomes: pq.ParquetWriter, check: Callable[[], object]
    ) -> Iterator[VectorRows]:
        """Write all outcomes, and yield the rows that have a vector, in the order of system_id."""
        bounds = self._bounds()
        for start, stop in pairwise(bounds):
            table, vectors = self._read_places(start, stop, check)
            outcomes.write_table(table)
            found = table.filter(pc.equal(table["status"], "ok")).combine_chunks()
            ids, hashes = (found[name].combine_chunks() for name in ("system_id", "content_hash"))
            if not self.of_nodes:
                yield VectorRows(ids, hashes, vectors)
                continue
            counts = self.counts[start:stop]
            counts = counts[counts > 0]
            each = pa.array(np.repeat(np.arange(len(counts)), counts))
            yield VectorRows(ids.take(each), hashes.take(each), vectors, _count_up(counts))

    def _bounds(self) -> list[int]:
        """Cut the places so that no part has more vectors, or more other rows, than it may."""
        parts = np.cumsum(self.counts) // rows_per_file(self.dimension)
        others = np.cumsum(self.counts == 0) // OUTCOMES_AT_ONCE
        cuts = 1 + np.flatnonzero(np.diff(parts) | np.diff(others))
        return [0, *cuts.tolist(), len(self.counts)]

    def _read_places(
        self, start: int, stop: int, check: Callable[[], object]
    ) -> tuple[pa.Table, np.ndarray]:
        """Return the outcomes of some places, and the vectors among them, (n, d), in order."""
        counts = self.counts[start:stop]
        slots = np.cumsum(counts) - counts  # of the first vector of each place
        vectors = np.empty((int(counts.sum()), self.dimension), dtype=np.float32)
        tables, places = [OUTCOMES.empty_table()], [np.empty(0, dtype=np.int64)]
        done = 0
        for piece in self.pieces:
            check()
            found = self.places[done : done + len(piece.rows)] - start
            done += len(piece.rows)
            inside = (found >= 0) & (found < stop - start)
            if inside.any():
                table = _read_rows(piece, piece.rows[inside])
                tables.append(table.select(OUTCOMES.names).cast(OUTCOMES))
                places.append(found[inside])
                filled = found[inside][counts[found[inside]] > 0]
                with_vector = pa.array(counts[found[inside]] > 0)
                chosen = table["vector"].filter(with_vector).combine_chunks()
                to = np.repeat(slots[filled], counts[filled]) + _count_up(counts[filled])
                vectors[to] = self._to_array(chosen, len(to), piece.shard)
        order = np.argsort(np.concatenate(places))
        return pa.concat_tables(tables).take(order), vectors

    def _to_array(self, lists: pa.ListArray, count: int, shard: Path) -> np.ndarray:
        """Return so many vectors as an array, (count, d)."""
        values = lists.flatten()
        if len(values) != count * self.dimension or lists.null_count or values.null_count:
            raise DamagedFileError(
                f"{shard} is damaged: it has vectors of another length than the card says, "
                f"{self.dimension}"
            )
        array: np.ndarray = values.to_numpy(zero_copy_only=False)
        return array.reshape(count, self.dimension)


def _count_vectors(table: pa.Table, dimension: int | None) -> np.ndarray:
    """Return how many vectors each row has: one, or of nodes as many as its numbers are of."""
    is_ok: np.ndarray = pc.equal(table["status"], "ok").to_numpy()
    if dimension is None:
        return is_ok.astype(np.int64)
    lengths = pc.fill_null(pc.list_value_length(table["vector"]), 0).to_numpy()
    counts: np.ndarray = np.where(is_ok, -(-lengths.astype(np.int64) // dimension), 0)
    return counts


def _count_up(counts: np.ndarray) -> np.ndarray:
    """Return 0, 1, …, n − 1 for each n of counts, one after another."""
    starts = np.cumsum(counts) - counts
    numbers: np.ndarray = np.arange(int(counts.sum())) - np.repeat(starts, counts)
    return numbers.astype(np.int32)


def _groups_with(file: pq.ParquetFile, representation: str) -> Iterator[int]:
    """Yield the row groups that may have rows of a representation, by their statistics."""
    column = file.schema_arrow.names.index("representation")
    for group in range(file.num_row_groups):
        found = file.metadata.row_group(group).column(column).statistics
        if found is None or not found.has_min_max or found.min <= representation <= found.max:
            yield group


def _open(shard: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(shard, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{shard} is damaged: {error}") from error


def _read(file: pq.ParquetFile, shard: Path, group: int, columns: list[str]) -> pa.Table:
    try:
        return file.read_row_group(group, columns=columns, use_threads=False)
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{shard} is damaged: {error}") from error


def _read_rows(piece: _Piece, rows: np.ndarray) -> pa.Table:
    with _open(piece.shard) as file:
        names = [*OUTCOMES.names, "vector"]
        table = _read(file, piece.shard, piece.group, names).take(rows)
    if "energy" not in table.column_names:  # as of before there were energies
        table = table.append_column("energy", pa.nulls(len(table), pa.float64()))
    return table
