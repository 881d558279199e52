"""Matrices that were found in strips, and are kept beside the store until its vectors change.

A file holds the rows of one question. Its name is a hash of the question, of what the store holds
for it, the checksums of the files of vectors included, and of the code that finds values, so a file
is never out of date: a question about other vectors has another name. Only `query.strips.loading`
writes here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from query.reading.files import store_path, store_with_files
from query.reading.selection import Selection, Source
from query.reading.vectors import refuse_damaged
from query.tables.shared.options import Options
from query.tables.shared.rows import Aligned
from schemas.paths import MEMORY, data_folder
from schemas.vectors import list_vector_files
from zoo.code import code_hash
from zoo.files import write_atomically

QUERY = Path(__file__).resolve().parents[2]
# The folders below it of the code that decides values and strips.
DECISIVE = ("engine", "metrics", "reading", "statistics", "strips", "tables/shared")
_SUPERSEDED = """
SELECT run_id, representation, system_id FROM superseded
WHERE run_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY ALL
"""


def matrices_folder(store: str | Path) -> Path:
    """Return the folder of the matrices of a store.

    Args:
        store: Its path.
    """
    return data_folder(store) / "matrices"


@cache
def digest_of_code(folder: Path) -> str:
    """Return what changes if code that decides values may find others, and not if words do.

    Args:
        folder: That of the package `query`.
    """
    files = [file for name in DECISIVE for file in sorted((folder / name).rglob("*.py"))]
    stated = [(file.relative_to(folder).as_posix(), code_hash(file.read_bytes())) for file in files]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def question_key(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    sources: Sequence[Source],
    options: Options,
    missing: str,
) -> str | None:
    """Return what tells a question, the vectors that answer it and the code, 32 hex digits.

    The device is no part of it: values are the same to rounding wherever they are computed.

    Args:
        connection: A store.
        selection: The systems.
        sources: The models, in their order.
        options: How to compare.
        missing: 'pairwise' or 'common'.

    Returns:
        The key; None if the vectors are not in files beside the store.
    """
    store = store_with_files(connection)
    if store is None or store == MEMORY or store != store_path(connection):
        return None
    named = {(source.model_id, source.representation) for source in sources}
    listed = list_vector_files(connection, store, dataset=selection.dataset)
    files = [f for f in listed if (f.model_id, f.representation) in named]
    contents = [(f.model_id, f.representation, f.run_id, f.rows, f.sha256) for f in files]
    runs = sorted({file.run_id for file in files})
    stated = [
        digest_of_code(QUERY),
        asdict(selection),
        [asdict(source) for source in sources],
        missing,
        sorted(options.metrics),
        [options.k, options.estimator, options.normalize],
        [options.permutations, options.subsamples, options.seed, options.rows],
        options.given_names,
        sorted(contents),
        connection.execute(_SUPERSEDED, [runs]).fetchall(),
    ]
    return hashlib.blake2b(json.dumps(stated).encode(), digest_size=16).hexdigest()


def find_matrix(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    sources: Sequence[Source],
    options: Options,
    missing: str,
) -> list[Aligned] | None:
    """Return the rows of a question, by metric in the order asked for, if they are kept.

    Args:
        connection: A store.
        selection: The systems.
        sources: The models, in their order.
        options: How to compare.
        missing: 'pairwise' or 'common'.

    Raises:
        ValueError: A file of vectors is damaged, as if nothing were kept.
    """
    store = store_path(connection)
    if store == MEMORY or not matrices_folder(store).is_dir():
        return None
    key = question_key(connection, selection, sources, options, missing)
    found = None if key is None else read_matrix(store, key)
    if found is None:
        return None
    refuse_damaged(connection, sources, selection.dataset)
    order = {metric: place for place, metric in enumerate(options.metrics)}
    return sorted(found, key=lambda row: order[row.metric])


def read_matrix(store: str | Path, key: str) -> list[Aligned] | None:
    """Return the rows that are kept under a key; None if there are none, or they are damaged.

    Args:
        store: The path of the store.
        key: See `question_key`.
    """
    file = matrices_folder(store) / f"{key}.parquet"
    try:
        table = pq.read_table(file, page_checksum_verification=True)
        return [Aligned(**row) for row in table.to_pylist()]
    except (OSError, ValueError, TypeError, pa.ArrowException):  # or it has other columns
        return None


def keep_matrix(store: str | Path, key: str, rows: Sequence[Aligned]) -> Path:
    """Keep the rows of a question.

    Args:
        store: The path of the store.
        key: See `question_key`.
        rows: The rows.

    Returns:
        The file.
    """
    folder = matrices_folder(store)
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([asdict(row) for row in rows])
    file = folder / f"{key}.parquet"
    write_atomically(file, lambda path: pq.write_table(table, path, write_page_checksum=True))
    return file
