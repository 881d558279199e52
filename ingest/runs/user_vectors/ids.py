"""Ids for a file of vectors that has none: from a file of ids, or by the order of the dataset."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import duckdb

from ingest.readers.shared.fields import find_column
from ingest.readers.shared.text import open_text, printable, replace_bad_bytes
from ingest.runs.errors import VectorsError
from ingest.runs.user_vectors.arrays import SPARE_ROWS, read_npy_ids
from ingest.runs.user_vectors.columns import IDS, UNNAMED, refuse_columns, refuse_counter
from ingest.systems.materialized import MaterializedDataset
from schemas.paths import escape_glob

FORMATS = (".txt", ".csv", ".tsv", ".json", ".npy")
ORDERED = """
UPDATE imported SET system_id = s.system_id
FROM (SELECT file_row_number + 1 AS row, system_id
      FROM read_parquet(?, file_row_number = true, hive_partitioning = false)) AS s
WHERE imported.row = s.row
"""


def give_ids(
    connection: duckdb.DuckDBPyConnection, file: Path, ids: Path, dataset: MaterializedDataset
) -> None:
    """Give the rows of `imported` the ids of another file, in its order.

    Args:
        connection: Has the table `imported`, without ids.
        file: The file that the vectors are from.
        ids: A file of one of FORMATS: an id per line, a table, a list, or an array.
        dataset: The dataset that the ids are of.

    Raises:
        VectorsError: The vectors have ids already, or the file has not as many as there are rows.
    """
    if not ids.is_file():
        raise VectorsError(f"there is no file {ids}")
    if _has_ids(connection):
        raise VectorsError(f"{file} has ids of its own: leave out --ids {ids}")
    most = SPARE_ROWS + 2 * dataset.n_systems
    texts = _read_ids(ids, most)
    rows = _count_rows(connection)
    if len(texts) != rows:
        counted = f"more than {most}" if len(texts) > most else f"{len(texts)}"
        raise VectorsError(f"{ids} has {counted} ids, and {file} has {rows} vectors")
    connection.execute(
        "UPDATE imported SET system_id = list_extract($ids::VARCHAR[], row)", {"ids": texts}
    )


def take_order(
    connection: duckdb.DuckDBPyConnection, file: Path, dataset: MaterializedDataset
) -> None:
    """Give the rows of `imported` that have no ids those of the dataset, in its order.

    Args:
        connection: Has the table `imported`.
        file: The file that the vectors are from.
        dataset: The dataset; its order is that of `matterzoo export-systems`.

    Raises:
        VectorsError: There are not as many rows as systems, so that nobody knows which is whose.
    """
    if _has_ids(connection):
        return
    rows = _count_rows(connection)
    if rows != dataset.n_systems:
        lost = dataset.n_unreadable
        unread = f", and {lost} entries that cannot be read" if lost else ""
        raise VectorsError(
            f"{file} has {rows} rows without ids, and {dataset.dataset} has {dataset.n_systems} "
            f"systems{unread}: expected one row per system, in the order of "
            "`matterzoo export-systems`; or give --ids FILE"
        )
    connection.execute(ORDERED, [escape_glob(dataset.systems)])


def _has_ids(connection: duckdb.DuckDBPyConnection) -> bool:
    ((count,),) = connection.execute("SELECT count(system_id) FROM imported").fetchall()
    return bool(count)


def _count_rows(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM imported").fetchall()
    return int(count)


def _read_ids(file: Path, most: int) -> list[str]:
    """Return the ids of a file, and at most one more than `most`."""
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise VectorsError(f"{file} is of no format of ids; expected {', '.join(FORMATS)}")
    try:
        if suffix == ".npy":
            return read_npy_ids(file)[: most + 1]
        with open_text(file, newline="") as text:
            if suffix == ".json":
                return _texts_of(file, json.load(text))
            if suffix == ".txt":
                lines = (replace_bad_bytes(line).strip() for line in text)
                return list(islice(filter(None, lines), most + 1))
            table = csv.reader(text, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
            return _column_of_ids(file, table, most)
    except (ValueError, csv.Error, RecursionError) as error:
        raise VectorsError(f"{file} cannot be read: {printable(str(error))}") from error


def _column_of_ids(file: Path, rows: Iterator[list[str]], most: int) -> list[str]:
    names = next(rows, [])
    place = find_column(names, (*IDS, *UNNAMED))
    if place is None:
        raise refuse_columns(file, names, "ids")
    found = ("".join(row[place : place + 1]) for row in rows if row)
    texts = [replace_bad_bytes(text) for text in islice(found, most + 1)]
    if find_column(names, IDS) is None and texts == list(map(str, range(len(texts)))):
        raise refuse_counter(file, names[place])
    return texts


def _texts_of(file: Path, content: object) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(x, str | int) for x in content):
        raise VectorsError(f"{file}: expected a JSON list of ids")
    return [str(x) for x in content]
