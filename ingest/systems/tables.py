"""The Parquet files of a dataset's folder: their columns, and how rows are appended to one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.systems.entry import Entry
from zoo.worker.tables import SYSTEMS

ROW_GROUP = 512  # rows; programs that read a folder hold one group in memory

UNREADABLE = pa.schema([(name, pa.string()) for name in ("source_id", "system_id", "reason")])
LABELS = pa.schema(
    [
        ("system_id", pa.string()),
        ("property", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("source", pa.string()),
    ]
)
# A file of systems that another program is to read: ids are those of the source.
EXPORTED = pa.schema(
    [
        ("id", pa.string()),
        *list(SYSTEMS)[2:],
        ("labels", pa.list_(pa.struct(list(LABELS)[1:]))),
    ]
)
# Only while the folder is written: finds ids that appear twice, and orders the content hashes.
IDS = pa.schema(
    [("system_id", pa.string()), ("content_hash", pa.string()), ("ordinal", pa.int64())]
)


class TableWriter:
    """A Parquet file to which rows are appended, one row group at a time.

    Attributes:
        count: How many rows have been appended.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Create the file.

        Args:
            path: The file; its folder exists.
            schema: The columns of each row.
        """
        self.count = 0
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        # A file that pyarrow opens itself would stay open after an error, and keep its space.
        self._file = pa.OSFile(str(path), "wb")
        try:
            self._writer = pq.ParquetWriter(
                self._file, schema, compression="zstd", write_page_checksum=True
            )
        except BaseException:
            self._file.close()
            raise

    def append(self, **row: Any) -> None:
        """Append one row, and write a row group when it is full.

        Args:
            **row: The value of each column.
        """
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._file:
            if kind is None:
                if self._rows:
                    self._flush()
                self._writer.close()
                return
            # After an error pyarrow may fail to write the end, and that would hide the first error.
            with suppress(OSError, ValueError):
                self._writer.close()


def system_columns(entry: Entry) -> dict[str, Any]:
    """Return the columns of a system's row after its id and content hash, as Parquet takes them.

    Args:
        entry: A validated entry.

    Returns:
        One value per column. -0.0 becomes 0.0, as in the content hash.
    """
    return {name: _plain(getattr(entry, name)) for name in SYSTEMS.names[2:]}


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return (value + 0.0 if value.dtype.kind == "f" else value).tolist()
