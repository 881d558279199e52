"""What the vector files of a dataset hold, read without a detour through SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from query.engine.undefined import Undefined
from query.reading.files import faults, list_files, store_with_files
from query.reading.pages import VectorPages
from schemas.message import one_line
from schemas.paths import escape_glob
from schemas.vectors import VectorFile

Model = tuple[str, str]  # model_id and representation
Vectors = NDArray[np.float32]

KEYS = ("system_id", "content_hash")
_NO_KEYS = pa.schema([(name, pa.string()) for name in KEYS]).empty_table()
_ASCENDING = [(name, "ascending") for name in KEYS]
# Of a file in an object store, which DuckDB reads with the credentials that it finds.
_OBJECT = "SELECT {columns} FROM read_parquet(?, hive_partitioning = false)"
_SUPERSEDED = """
SELECT run_id, representation, system_id FROM superseded
WHERE run_id IN (SELECT unnest(?::VARCHAR[]))
"""


class Unreadable(Undefined):
    """A file of vectors cannot be read now, which says nothing about the vectors."""


@dataclass(frozen=True)
class _Rows:
    """The rows of a model's files that count and are asked for.

    Attributes:
        kept: For each file which of its rows these are, or None for all.
        counts: For each file how many of its rows these are.
        places: The place of each in the order of system_id, (n,), or None if that is their order.
    """

    kept: list[NDArray[np.bool_] | None]
    counts: list[int]
    places: NDArray[np.int64] | None

    def targets(self) -> Iterator[slice | NDArray[np.int64]]:
        """Yield for each file the places of its rows."""
        done = 0
        for count in self.counts:
            target = slice(done, done + count)
            yield target if self.places is None else self.places[target]
            done += count


class DatasetFiles:
    """The files of a dataset, listed once for all that a question reads of them.

    The checksums of all pages that are read from local files are verified on the way.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        store: str,
        dataset: str,
        systems: Collection[str] | None = None,
    ) -> None:
        """List the files.

        Args:
            connection: A store whose vectors lie in files.
            store: Its path.
            dataset: The dataset.
            systems: The systems that are asked for; None for all.
        """
        self._connection = connection
        self._files = list_files(connection, store, dataset)
        self._systems = None if systems is None else pa.array(sorted(systems), pa.string())
        self._rows: dict[Model, _Rows] = {}

    @classmethod
    def of(
        cls,
        connection: duckdb.DuckDBPyConnection,
        dataset: str,
        systems: Collection[str] | None = None,
    ) -> Self | None:
        """Return the files, or None if `embeddings` reads something else; see `store_with_files`.

        Args:
            connection: A store.
            dataset: The dataset.
            systems: The systems that are asked for; None for all.
        """
        store = store_with_files(connection)
        return None if store is None else cls(connection, store, dataset, systems)

    @property
    def are_local(self) -> bool:
        """Whether all files are on a file system, and none in an object store."""
        return all(file.is_local for file in self._files)

    @property
    def files(self) -> list[VectorFile]:
        """The files, by name."""
        return self._files

    def read_from(self, folder: Path) -> None:
        """Read copies of the files on a file system, where there are any.

        Args:
            folder: Where they are as below the folder of vectors.
        """
        for place, file in enumerate(self._files):
            if file.is_local and (folder / file.file).exists():
                here = str(folder)
                self._files[place] = replace(file, folder=here, beside=here, modified=None)

    def find_damage(self) -> dict[Model, str]:
        """Return what is wrong with files and what mends it."""
        return faults(self._files)

    def read_keys(self, model: Model) -> pa.Table:
        """Return system_id and content_hash of a model's vectors, in the order of the vectors.

        Args:
            model: The model.

        Raises:
            Undefined: A file is damaged.
        """
        parts, kept = [], []
        for file in self._of(model):
            keys = self._read(file, KEYS)
            mask = self._find_kept(file, keys["system_id"])
            parts.append(keys if mask is None else keys.filter(mask))
            kept.append(None if mask is None else mask.to_numpy())
        counts = [part.num_rows for part in parts]
        found = pa.concat_tables(parts or [_NO_KEYS]).combine_chunks()
        order = _order(found)
        places = None
        if order is not None:
            found, places = found.take(order), np.empty(len(order), np.int64)
            places[order.to_numpy()] = np.arange(len(order))
        self._rows[model] = _Rows(kept, counts, places)
        return found

    def read_vectors(self, model: Model, name: str) -> Vectors:
        """Return the vectors of a model, (n, d), in the order of system_id.

        Args:
            model: The model.
            name: How reasons call it.

        Raises:
            Undefined: A file is damaged, or the vectors differ in length.
        """
        if model not in self._rows:
            self.read_keys(model)
        files, rows = self._of(model), self._rows[model]
        used = [place for place, count in enumerate(rows.counts) if count]
        if not used:
            return np.empty((0, 0), dtype=np.float32)
        found = self._decode(files, rows)
        if found is not None:
            return found
        columns = [self._read(files[place], ("vector",))["vector"] for place in used]
        masks = [rows.kept[place] for place in used]
        parts = [
            column if mask is None else column.filter(pa.array(mask))
            for column, mask in zip(columns, masks, strict=True)
        ]
        return _fill(parts, rows.places, name)

    def _decode(self, files: Sequence[VectorFile], rows: _Rows) -> Vectors | None:
        """Return the vectors of files that are written as ours are; None for any others."""
        if not all(file.is_local for file in files):
            return None
        pages = [self._open(file) for file in files]
        widths = {found.shape[1] for found in pages if found is not None}
        if len(widths) != 1:
            return None
        for file, found in zip(files, pages, strict=True):
            if found is None or found.shape[0] != file.rows:  # other rows are refused by `_read`
                return None
        vectors = np.empty((sum(rows.counts), *widths), dtype=np.float32)
        for file, found, mask, target in zip(files, pages, rows.kept, rows.targets(), strict=True):
            assert found is not None
            direct = mask is None and rows.places is None
            table = vectors[target] if direct else np.empty(found.shape, np.float32)
            with _naming(file):
                if not found.read(table):
                    return None
            if not direct:
                vectors[target] = table if mask is None else table[mask]
        return vectors

    def _open(self, file: VectorFile) -> VectorPages | None:
        with _naming(file), pq.ParquetFile(file.path) as opened:
            return VectorPages.of(file.path, opened)

    def _of(self, model: Model) -> list[VectorFile]:
        return [file for file in self._files if (file.model_id, file.representation) == model]

    def _read(self, file: VectorFile, columns: Sequence[str]) -> pa.Table:
        if file.fault is not None:
            raise Unreadable(file.fault)
        with _naming(file):
            if file.is_local:
                checked = {"page_checksum_verification": True}
                with pq.ParquetFile(file.path, **checked) as opened:
                    # Waking threads takes longer than they take for a few strings.
                    table = opened.read(list(columns), use_threads=columns != KEYS)
            else:
                sql = _OBJECT.format(columns=", ".join(columns))
                found = self._connection.execute(sql, [escape_glob(file.path)])
                table = found.to_arrow_table()
        if table.num_rows != file.rows:
            raise Unreadable(
                f"{file.path} has {table.num_rows} rows, expected {file.rows}: {file.remedy}"
            )
        return table

    @cached_property
    def _superseded(self) -> pa.Table:
        runs = sorted({file.run_id for file in self._files})
        return self._connection.execute(_SUPERSEDED, [runs]).to_arrow_table()

    def _find_kept(self, file: VectorFile, ids: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """Return which rows of a file count and are asked for; None for all."""
        mask = None
        if self._superseded.num_rows:
            its = pc.and_(
                pc.equal(self._superseded["run_id"], file.run_id),
                pc.equal(self._superseded["representation"], file.representation),
            )
            others = self._superseded.filter(its)["system_id"]
            mask = pc.invert(pc.is_in(ids, others)) if len(others) else None
        if self._systems is not None:
            wanted = pc.is_in(ids, self._systems)
            mask = wanted if mask is None else pc.and_(mask, wanted)
        return mask


@contextmanager
def _naming(file: VectorFile) -> Iterator[None]:
    """Turn what reading a file raises into a reason that names it and what mends it."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Unreadable(f"{file.path} is damaged ({error}): {file.remedy}") from error
    except duckdb.IOException as error:
        reason = f"{file.path} cannot be read ({one_line(error)}): {file.remedy}"
        raise Unreadable(reason) from error


def _order(keys: pa.Table) -> pa.Array | None:
    """Return the order of rows by their keys; None if they are in it."""
    ids = keys["system_id"].combine_chunks()
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False:
        return None
    return pc.sort_indices(keys, sort_keys=_ASCENDING)


def _fill(
    columns: Sequence[pa.ChunkedArray], places: NDArray[np.int64] | None, name: str
) -> Vectors:
    """Return the vectors of columns as one table, each at its place."""
    chunks = [chunk for column in columns for chunk in column.chunks if len(chunk)]
    widths = sorted({int(width) for chunk in chunks for width in _widths(chunk)})
    if len(widths) > 1:
        raise Undefined(f"the vectors of {name} differ in length ({widths[0]} to {widths[-1]})")
    vectors = np.empty((sum(map(len, chunks)), widths[0]), dtype=np.float32)
    done = 0
    for chunk in chunks:
        rows = chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1)
        target = slice(done, done + len(chunk))
        vectors[target if places is None else places[target]] = rows
        done += len(chunk)
    return vectors


def _widths(chunk: pa.ListArray) -> list[int]:
    found = pc.min_max(pc.list_value_length(chunk)).as_py()
    return [found["min"], found["max"]]
