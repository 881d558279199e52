"""Chunks that several models compute whole: cut and written once for all of them.

To send each model its chunks, one after another, a dataset would be read once per chunk and model.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.runs.chunks.cut import CHUNK_SYSTEMS, HASH, open_part
from ingest.runs.chunks.shared import Part, find_shared, link
from ingest.runs.store.memory_limit import keep_settings, use_one_thread
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.sample import ORDER_IN_SQL
from ingest.systems.tables import ROW_GROUP
from schemas.paths import escape_glob
from zoo.worker.tables import SYSTEMS

OPEN_FILES = 64  # chunks that are written at once, while the dataset is read once
READ_ROWS = 8 * ROW_GROUP
PREFIX = ".chunks-"  # of the folder in which chunks are written, within the dataset's
IN_ORDER = f"""
CREATE TEMP TABLE in_order AS
SELECT system_id, content_hash, file_row_number AS place
FROM read_parquet($systems, hive_partitioning = false, file_row_number = true)
ORDER BY {ORDER_IN_SQL}
LIMIT $limit
"""
OF_CHUNK = "FROM in_order WHERE rowid >= $start AND rowid < $start + $size"


class WholeChunks:
    """The chunks of datasets, for as long as requests are planned one after another."""

    def __init__(self, spill: Path, size: int = CHUNK_SYSTEMS) -> None:
        """Make one that knows no chunk yet.

        Args:
            spill: The folder where DuckDB puts what exceeds its memory.
            size: Systems per chunk.
        """
        self._spill, self._size = spill, size
        self._parts: dict[tuple[Path, str, int], list[Part]] = {}
        self._written = ExitStack()

    def __enter__(self) -> WholeChunks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._written.close()

    def of(self, dataset: MaterializedDataset, limit: int) -> list[Part]:
        """Return the chunks of a request that lacks everything; see `ingest.runs.chunks.cut`.

        Args:
            dataset: The dataset.
            limit: How many systems are asked for.
        """
        key = dataset.folder, dataset.dataset_hash, limit
        if key not in self._parts:
            self._parts[key] = self._cut(dataset, limit)
        return self._parts[key]

    def _cut(self, dataset: MaterializedDataset, limit: int) -> list[Part]:
        chunks = _Chunks(dataset, self._written)
        with duckdb.connect() as connection, keep_settings(connection):
            use_one_thread(connection, dataset.n_systems, times=2)
            connection.execute("SET temp_directory = ?", [str(self._spill)])
            values = {"systems": escape_glob(dataset.systems), "limit": limit}
            connection.execute(IN_ORDER, values)
            for start in range(0, limit, self._size):
                values = {"start": start, "size": self._size}
                query = f"SELECT {HASH}, count(*) {OF_CHUNK}"
                ((systems_hash, count),) = connection.execute(query, values).fetchall()
                places = connection.execute(f"SELECT place {OF_CHUNK}", values).fetchnumpy()
                chunks.add(systems_hash, count, places["place"])
        return chunks.parts


class _Chunks:
    """The chunks of one dataset."""

    def __init__(self, dataset: MaterializedDataset, written: ExitStack) -> None:
        self.parts: list[Part] = []
        self._dataset, self._until = dataset, written
        self._chunk_of = np.full(dataset.n_systems, -1, dtype=np.int32)  # by the place in the file
        self._folder: Path | None = None

    def add(self, systems_hash: str, count: int, places: np.ndarray) -> None:
        """Add the next chunk, whose systems are at these places in the dataset's file."""
        number = len(self.parts)
        self._chunk_of[places] = number
        copy = partial(self._copy, number)
        self.parts.append(Part(self._dataset, count, systems_hash, copy))

    def _copy(self, number: int, target: Path) -> None:
        """Write a chunk; the first time, all that no job has yet are written at once."""
        if self._folder is None:
            self._folder = self._make_folder()
            missing = [
                n
                for n, part in enumerate(self.parts)
                if find_shared(self._dataset.folder, part.systems_hash) is None
            ]
            for first in range(0, len(missing), OPEN_FILES):
                self._write(missing[first : first + OPEN_FILES])
        source = self._folder / f"{number}.parquet"
        if not source.exists():  # it was there, and has been removed or damaged since
            self._write([number])
        if not link(source, target):
            shutil.copyfile(source, target)

    def _make_folder(self) -> Path:
        for left in self._dataset.folder.glob(f"{PREFIX}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        folder = TemporaryDirectory(prefix=PREFIX, dir=self._dataset.folder)
        return Path(self._until.enter_context(folder))

    def _write(self, numbers: Sequence[int]) -> None:
        """Write some chunks while the dataset is read once."""
        assert self._folder is not None
        place = 0
        with ExitStack() as opened, pq.ParquetFile(self._dataset.systems) as file:
            writers = {
                n: _Writer(opened.enter_context(open_part(self._folder / f"{n}.parquet")))
                for n in numbers
            }
            for batch in file.iter_batches(READ_ROWS, columns=SYSTEMS.names):
                table = pa.Table.from_batches([batch]).cast(SYSTEMS)
                of_rows = self._chunk_of[place : place + len(table)]
                place += len(table)
                for n in set(of_rows.tolist()) & writers.keys():
                    writers[n].add(table.filter(pa.array(of_rows == n)))
            for writer in writers.values():
                writer.flush()


class _Writer:
    """The file of a chunk, to which rows come a few at a time."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file, self._rows = file, SYSTEMS.empty_table()

    def add(self, rows: pa.Table) -> None:
        self._rows = pa.concat_tables([self._rows, rows])
        while len(self._rows) >= ROW_GROUP:
            self._write(self._rows.slice(0, ROW_GROUP))
            self._rows = self._rows.slice(ROW_GROUP)

    def flush(self) -> None:
        for start in range(0, len(self._rows), ROW_GROUP):
            self._write(self._rows.slice(start, ROW_GROUP))

    def _write(self, rows: pa.Table) -> None:
        self._file.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)
